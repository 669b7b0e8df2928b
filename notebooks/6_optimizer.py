# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6 · The optimizer: from a surprise to a better parameter
#
# [中文](zh/6_optimizer.ipynb)
#
# > **The question:** the model was surprised by the truth. Which of its million parameters should change, in which
# > direction, and by how much?
#
# - **You need** notebook 4, and what a derivative is.
# - **Afterwards you can** write AdamW by hand, clip gradients, draw the schedule of the learning rate, and say what
#   each of the three is for.
# - **Time:** 30 minutes, and 17 for the exercises.
#
# Training a BERT means repeating one step, in pretraining as well as in fine-tuning: compute how surprised the model
# is, find the direction in which each parameter makes it less surprised, and go a little way. The idea is simple. But
# how far is *a little way*? Three devices answer that question, and this notebook builds them: **AdamW**, **gradient
# clipping** and a **schedule**. Our example is
#
# > **The file is opened for [MASK].**

# %%
# On your machine this cell does nothing. In Google Colab it installs minibert, from the repository of this notebook.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("minibert") is None:
    repository = ""  # @param {type:"string"}
    assert repository, "write the https address of the repository where you found this notebook, then run this cell"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", f"git+{repository}"], check=True)

# %%
import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from minibert import BertForPreTraining, BertTokenizer
from minibert.course import check
from minibert.training.optimization import build_optimizer, learning_rate_factor

MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)

# %% [markdown]
# ## The gradient
#
# How surprised is the model by *reading*? In notebook 0 we counted bits, $-\log_2 p$. Training uses the natural
# logarithm, $-\ln p$, which is the same up to a factor and has a simpler derivative. This number is the **loss**.

# %%
inputs = tokenizer("The file is opened for [MASK].", return_tensors="pt")
place = inputs.tokens().index("[MASK]")
reading = tokenizer.convert_tokens_to_ids("reading")


def loss_of(model: BertForPreTraining) -> Tensor:
    return -model(**inputs).prediction_logits[0, place].log_softmax(dim=-1)[reading]


model = BertForPreTraining.from_pretrained(MODEL)
loss = loss_of(model)
print(f"p(reading) = {(-loss).exp():.0%}, loss {loss:.3f}")

# %% [markdown]
# ### First with a loop
#
# Nudge a parameter, and see what happens to the loss. The change in the loss, divided by the nudge, is the **gradient**
# of that parameter. (We compute in double precision here, because the differences are tiny.)

# %%
exact = BertForPreTraining.from_pretrained(MODEL).double()
weight, nudge = exact.bert.encoder.layer[1].feed_forward.up.weight, 1e-4
by_nudging = []
with torch.no_grad():
    for column in range(5):
        weight[0, column] += nudge
        above = loss_of(exact)
        weight[0, column] -= 2 * nudge
        by_nudging.append(((above - loss_of(exact)) / (2 * nudge)).item())
        weight[0, column] += nudge

# %% [markdown]
# ### Then for all at once
#
# Each nudge takes two runs of the model. For 1.5 million parameters, that would take hours. **Backpropagation** applies
# the chain rule from the loss backwards, and gets all gradients in about the time of two runs:

# %%
loss_of(exact).backward()
for column, slope in enumerate(by_nudging):
    print(f"parameter {column}: by nudging {slope:9.6f}, by backpropagation {weight.grad[0, column]:9.6f}")
torch.testing.assert_close(torch.tensor(by_nudging).double(), weight.grad[0, :5], rtol=1e-4, atol=1e-8)

# %% [markdown]
# ## How far?
#
# The simplest step is **gradient descent**: $\theta \leftarrow \theta - \eta\, g$, with the gradient $g$ and a
# **learning rate** $\eta$. We take a single step with different rates, and ask again:


# %%
def with_gradient(model: BertForPreTraining) -> list[torch.nn.Parameter]:
    # All but the pooler and the NSP head, which had no say in this loss.
    return [parameter for parameter in model.parameters() if parameter.grad is not None]


for rate in (0.00001, 0.0001, 0.001, 0.01, 1.0):
    model = BertForPreTraining.from_pretrained(MODEL)
    loss_of(model).backward()
    with torch.no_grad():
        for parameter in with_gradient(model):
            parameter -= rate * parameter.grad
        print(f"rate {rate:<8g} p(reading) {(-loss).exp():.1%} → {(-loss_of(model)).exp():.1%}")
assert loss_of(model) > loss  # the last rate was too large

# %% [markdown]
# Too small a rate gets nowhere. With too large a rate, the model is *more* surprised than before: it has overshot. And
# no rate is right for all parameters, because their gradients differ in size:

# %%
names = ["bert.encoder.layer.0.attention.query.weight", "bert.encoder.layer.1.feed_forward.down.weight"]
names += ["bert.encoder.layer.1.feed_forward_norm.bias", "mlm_head.norm.weight", "mlm_head.bias"]
sizes = [model.get_parameter(name).grad.abs().median().item() for name in names]
for name, size in zip(names, sizes, strict=True):
    print(f"{name.removeprefix('bert.encoder.'):36} typical gradient {size:.1e}")
assert max(sizes) > 100 * min(sizes)

# %% [markdown]
# ## AdamW
#
# Adam gives every parameter a step of its own, from two running means. $m$ is the mean of its recent gradients: single
# batches are noisy, and what they have in common is the direction worth following. $v$ is the mean of their squares, so
# $\sqrt v$ is their typical size. The step is $m / \sqrt v$: *where the gradients agree, measured by how large they
# usually are*. Whether a gradient is a million or a millionth, a step is hardly ever longer than the learning rate.
#
# The W stands for **weight decay**. Each step also pulls every weight a little towards zero, so that no weight grows
# unless it is needed. Adam used to mix this pull into the gradient, where $\sqrt v$ divided it away. AdamW keeps it
# apart.
#
# $$ m \leftarrow \beta_1 m + (1 - \beta_1)\, g \qquad v \leftarrow \beta_2 v + (1 - \beta_2)\, g^2 $$
#
# $$ \theta \leftarrow \theta - \eta\lambda\theta - \eta\, \frac{\hat m}{\sqrt{\hat v} + \epsilon} \qquad
# \hat m = \frac{m}{1 - \beta_1^t} \qquad \hat v = \frac{v}{1 - \beta_2^t} $$
#
# (Loshchilov and Hutter 2019, algorithm 2; Kingma et al. 2015, section 2, for Adam.) Both means start at 0 and are too
# small at first. The hats correct for that: at step $t = 1$, $\hat m$ is the gradient itself.
#
# | symbol | here | usual | meaning |
# | --- | --- | --- | --- |
# | $\theta, g$ | `theta`, `g` | | a parameter, and its gradient |
# | $m, v$ | `m`, `v` | start at 0 | running means of $g$ and of $g^2$ |
# | $\beta_1, \beta_2$ | `beta1`, `beta2` | 0.9, 0.999 | how much of the old mean stays |
# | $t$ | `t` | 1, 2, … | number of the step |
# | $\eta$ | `rate` | $10^{-4}$ to $10^{-3}$ | the learning rate |
# | $\lambda$ | `decay` | 0.01 | weight decay |
# | $\epsilon$ | `eps` | $10^{-8}$ | against division by zero |
#
# ### One parameter, by hand
#
# Take one parameter and five of its gradients. Most of them point the same way, and the fourth is a hundred times as
# large as the others:


# %%
def adamw(theta, g, m, v, t, rate=0.01, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.01):
    # One step, for a number as well as for a matrix. Returns the new parameter, m and v.
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return theta - rate * decay * theta - rate * m_hat / (v_hat**0.5 + eps), m, v


theta, m, v = 1.0, 0.0, 0.0
for t, g in enumerate((0.02, 0.03, -0.01, 3.0, 0.02), start=1):
    before, (theta, m, v) = theta, adamw(theta, g, m, v, t)
    print(f"step {t}: gradient {g:5.2f}, plain step {-0.01 * g:8.5f}, AdamW's step {theta - before:8.5f}")
    assert abs(theta - before) < 1.1 * 0.01 + 1e-4

# %% [markdown]
# Look at the first step: it has the full length of the rate, whatever the size of the gradient. And the outlier hardly
# shows. That is the point.
#
# ### All parameters, against PyTorch
#
# The same function also takes a matrix. So we make twenty steps on our sentence, by hand and with the package's
# optimizer. One detail: only matrices decay. A LayerNorm's scale belongs near 1, and a bias has no reason to be small.

# %%
theirs, ours = (BertForPreTraining.from_pretrained(MODEL).double() for _ in range(2))
optimizer = build_optimizer(theirs.named_parameters(), 1e-4, weight_decay=0.01, betas=(0.9, 0.999), epsilon=1e-8)
state = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in ours.named_parameters()}


@torch.no_grad()
def step(t: int) -> None:
    for name, p in ours.named_parameters():
        if p.grad is not None:
            new, *state[name] = adamw(p, p.grad, *state[name], t, rate=1e-4, decay=0.01 if p.ndim > 1 else 0.0)
            p.copy_(new)


# %%
chances = []
for t in range(1, 21):
    for model in (theirs, ours):
        model.zero_grad()
        (loss := loss_of(model)).backward()
    optimizer.step(), step(t)
    chances.append((-loss).exp().item())
for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
    torch.testing.assert_close(mine, other)
print(f"p(reading) before each step: {chances[0]:.0%}, {chances[1]:.0%}, {chances[2]:.0%}, … {chances[-1]:.0%}")

# %% [markdown]
# Ours equals PyTorch's. (Of course, a model that sees a single sentence twenty times learns it by heart. Real training
# shows it a new batch at every step.)
#
# ### What it is for, in a picture
#
# Think of the loss as a landscape: here a long, narrow valley, whose slope is a hundred times as steep across as along.
# Gradient descent must choose its rate for the steep direction, and then crawls along the other. AdamW has a rate for
# each:


# %%
def walk(method: str, steps: int = 60) -> Tensor:
    place, m, v, path = torch.tensor([-8.0, 0.6]), torch.zeros(2), torch.zeros(2), []
    for t in range(1, steps + 1):
        path.append(place)
        g = torch.tensor([1.0, 100.0]) * place  # of the loss (a² + 100 b²) / 2
        if method == "AdamW":
            place, m, v = adamw(place, g, m, v, t, rate=0.3, decay=0.0)
        else:
            place = place - 0.019 * g
    return torch.stack(path)


# %%
a, b = torch.meshgrid(torch.linspace(-9, 3, 200), torch.linspace(-1, 1, 100), indexing="xy")
figure, ax = plt.subplots(figsize=(8, 2.8), layout="constrained")
levels = ax.contour(a, b, (a**2 + 100 * b**2) / 2, levels=12, colors="lightgrey", linewidths=0.8)
for name, color in (("gradient descent", "#d98032"), ("AdamW", "#1b3a5c")):
    path = walk(name)
    line = ax.plot(*path.T, ".-", color=color, label=f"{name}, 60 steps")
ax.plot(0, 0, "k+", markersize=12)
ax.set(xlabel="a", ylabel="b", title="the lowest point is at +")
legend = ax.legend(loc="lower right")
assert walk("AdamW")[-1].norm() < walk("gradient descent")[-1].norm()

# %% [markdown]
# ## Clipping
#
# Now and then, a batch is so odd that its gradient is many times longer than usual. Even AdamW remembers it for a
# while, in $m$ and $v$. So the gradient is **clipped** first. Take *all* gradients together as one long vector. If it
# is longer than $c$, it is scaled down to that length; its direction stays the same:
#
# $$ g \leftarrow g \cdot \min\Big(1, \frac{c}{\lVert g \rVert + 10^{-6}}\Big) \qquad
# \lVert g \rVert = \sqrt{\textstyle\sum_i g_i^2} $$
#
# BERT's code, and ours, uses $c = 1$.

# %%
(loss_of(exact) * 1000).backward()  # an odd batch
gradients = [p.grad.clone() for p in with_gradient(exact)]
length = math.sqrt(sum((g**2).sum() for g in gradients))
clipped = [g * min(1, 1 / (length + 1e-6)) for g in gradients]
print(f"length {length:.1f} before, {math.sqrt(sum((g**2).sum() for g in clipped)):.3f} after")
found = torch.nn.utils.clip_grad_norm_(exact.parameters(), 1.0)  # PyTorch's
torch.testing.assert_close(found.item(), length)
for p, g in zip(with_gradient(exact), clipped, strict=True):
    torch.testing.assert_close(p.grad, g)

# %% [markdown]
# ## The schedule
#
# The best rate changes during a run. At the start, AdamW knows nothing: after a single gradient,
# $\hat m / \sqrt{\hat v}$ is $\pm 1$ for *every* parameter, which means a full step on the evidence of one batch. So
# the rate first rises from 0, in the **warm-up**. At the end, we are no longer looking for the valley but for its
# lowest point, and large steps would jump across it. So the rate falls to 0. If $\rho$ is the share of the run that is
# done, and $w$ the share of the warm-up, then
#
# $$ \eta = \eta_{\max} \cdot \begin{cases} \rho / w & \rho < w \\ (1 - \rho) / (1 - w) & \text{else} \end{cases} $$
#
# (Devlin et al. 2019, appendix A.2: warm-up over the first 10,000 of a million steps, then a straight line down.)

# %%
steps, warm_up = 200, 0.1
by_hand = [t / steps / warm_up if t / steps < warm_up else (1 - t / steps) / (1 - warm_up) for t in range(steps)]
kinds = ("linear", "cosine")
package = {kind: [learning_rate_factor(kind, t / steps, warm_up) for t in range(steps)] for kind in kinds}
torch.testing.assert_close(torch.tensor(by_hand), torch.tensor(package["linear"]))
figure, ax = plt.subplots(figsize=(6.5, 2.6), layout="constrained")
for (kind, factors), style in zip(package.items(), ("-", "--"), strict=True):
    line = ax.plot(factors, style, color="#1b3a5c" if kind == "linear" else "#d98032", label=kind)
ax.set(xlabel="step", ylabel="share of the highest rate")
legend = ax.legend(), ax.grid(alpha=0.3)

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    dummy = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, factors = transformers.get_linear_schedule_with_warmup(dummy, int(warm_up * steps), steps), []
    for _ in range(steps):
        factors.append(schedule.get_last_lr()[0])
        dummy.step(), schedule.step()
    torch.testing.assert_close(torch.tensor(factors), torch.tensor(by_hand))

# %% [markdown]
# ## The whole step
#
# So one step of training takes these five lines. The next notebook runs them four hundred times:
#
# ```python
# loss = model(**batch).loss                                  # how surprised?
# loss.backward()                                             # which direction?
# torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)     # not too far for one odd batch
# optimizer.step()                                            # how far, for each parameter?
# schedule.step(), optimizer.zero_grad()                      # the next rate; forget this gradient
# ```
#
# ## Exercises
#
# Write each answer into its cell and run it, as often as you like: `check` says what is wrong. The dots say how hard
# an exercise is. Hints and solutions are folded up.
#
# To be written **from memory**, with the notebook closed: `adamw_step` (●●●, 15 minutes).
# `from minibert.course import task; task("adamw_step")` prints what to write.
#
# ### 1. `first_step` (●○○, 3 minutes)
#
# The very first gradient of a parameter is 1000. With a rate of 0.001 and no decay, how far does AdamW move it? Answer
# without a sign.
#
# <details><summary>Hint</summary>
#
# With the corrections, $\hat m$ is the gradient and $\hat v$ its square.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# first_step = 0.001
# ```
# </details>

# %%
first_step = None  # a number
check("first_step", first_step)

# %% [markdown]
# ### 2. `clip` (●●○, 8 minutes)
#
# Clip a list of matrices, together, to a length of `limit`, and return the new list. What is shorter than that stays
# as it is.
#
# <details><summary>Hint</summary>
#
# The length is the root of the sum of all squares, over all matrices. All are multiplied by one factor, which is never
# more than 1.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def clip(gradients, limit):
#     length = math.sqrt(sum((g**2).sum() for g in gradients))
#     return [g * min(1, limit / (length + 1e-6)) for g in gradients]
# ```
# </details>


# %%
def clip(gradients, limit):
    pass  # your code


check("clip", clip)

# %% [markdown]
# ### 3. `rate_share` (●●○, 6 minutes)
#
# Return the share of the highest rate at a step: a straight line from 0 up to 1 at `warmup_steps`, and from there a
# straight line to 0 at `steps`. There may be no warm-up.
#
# <details><summary>Hint</summary>
#
# Two cases. On the way down, ask how many steps are left, of how many.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def rate_share(step, steps, warmup_steps):
#     return step / warmup_steps if step < warmup_steps else (steps - step) / (steps - warmup_steps)
# ```
# </details>


# %%
def rate_share(step, steps, warmup_steps):
    pass  # your code


check("rate_share", rate_share)
