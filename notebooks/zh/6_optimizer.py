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
# # 6 · 优化器：从惊讶到更好的参数
#
# [English](../6_optimizer.ipynb)
#
# > **问题**：正确答案让模型感到惊讶。它有上百万个参数，应该改哪些，往哪个方向改，改多少？
#
# - **需要**：第 4 课，知道什么是导数。
# - **学完以后**：能亲手写出 AdamW，裁剪梯度，画出学习率的调度曲线，还能说清这三样东西各有什么用。
# - **时间**：30 分钟，习题另需 17 分钟。
#
# 训练 BERT，无论预训练还是微调，都是反复做同一步：算出模型有多惊讶，找到每个参数往哪个方向走能让它少一点惊讶，然后走一小步。道理很简单。可是**一小步**到底是多远？有三样东西回答这个问题，这一课就来动手做：**AdamW**、**梯度裁剪**和**学习率调度**。我们的例子是
#
# > **The file is opened for [MASK].**

# %%
# 在自己的机器上，这一格什么也不做；在 Google Colab 里，它从本笔记本所在的仓库安装 minibert。
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
from minibert.course.zh import check
from minibert.training.optimization import build_optimizer, learning_rate_factor

MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)

# %% [markdown]
# ## 梯度
#
# 对 *reading* 这个词，模型有多惊讶？在第 0 课里我们数的是比特，$-\log_2 p$。训练时用自然对数，$-\ln p$。两者只差一个倍数，后者的导数更简单。这个数就是**损失**。

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
# ### 先用循环
#
# 把一个参数推一下，看损失怎样变。损失的变化除以推的距离，就是这个参数的**梯度**。（差别极小，所以这里用双精度计算。）

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
# ### 再一次算出全部
#
# 推一次，模型就要运行两遍。150 万个参数，得算上好几个小时。**反向传播**从损失出发，用链式法则往回推，只花大约运行两遍的时间，就得到全部梯度：

# %%
loss_of(exact).backward()
for column, slope in enumerate(by_nudging):
    print(f"parameter {column}: by nudging {slope:9.6f}, by backpropagation {weight.grad[0, column]:9.6f}")
torch.testing.assert_close(torch.tensor(by_nudging).double(), weight.grad[0, :5], rtol=1e-4, atol=1e-8)

# %% [markdown]
# ## 走多远？
#
# 最简单的一步是**梯度下降**：$\theta \leftarrow \theta - \eta\, g$，其中 $g$ 是梯度，$\eta$ 是**学习率**。我们用不同的学习率各走一步，再问一次：


# %%
def with_gradient(model: BertForPreTraining) -> list[torch.nn.Parameter]:
    # 除池化层和 NSP 头以外的全部：那两部分与这个损失无关。
    return [parameter for parameter in model.parameters() if parameter.grad is not None]


for rate in (0.00001, 0.0001, 0.001, 0.01, 1.0):
    model = BertForPreTraining.from_pretrained(MODEL)
    loss_of(model).backward()
    with torch.no_grad():
        for parameter in with_gradient(model):
            parameter -= rate * parameter.grad
        print(f"rate {rate:<8g} p(reading) {(-loss).exp():.1%} → {(-loss_of(model)).exp():.1%}")
assert loss_of(model) > loss  # 最后一个学习率太大了

# %% [markdown]
# 学习率太小，几乎不动；太大，模型反而比原来**更**惊讶，因为走过了头。而且没有哪个学习率对所有参数都合适，因为它们的梯度大小不一：

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
# Adam 让每个参数有自己的步长，靠的是两个滑动平均。$m$ 是最近梯度的平均：单个批次有噪声，各批次共同的方向才值得跟。$v$ 是梯度平方的平均，所以 $\sqrt v$ 就是梯度通常的大小。每一步走 $m / \sqrt v$，也就是**各次梯度一致的方向，以它们通常的大小为单位**。不管梯度是一百万还是百万分之一，一步都不会比学习率长多少。
#
# W 指的是**权重衰减**（weight decay）：每一步还把每个权重往零拉一点，免得哪个权重没有必要地变大。最初的 Adam 把这一项混进梯度里，结果又被 $\sqrt v$ 除掉了。AdamW 把两者分开。
#
# $$ m \leftarrow \beta_1 m + (1 - \beta_1)\, g \qquad v \leftarrow \beta_2 v + (1 - \beta_2)\, g^2 $$
#
# $$ \theta \leftarrow \theta - \eta\lambda\theta - \eta\, \frac{\hat m}{\sqrt{\hat v} + \epsilon} \qquad
# \hat m = \frac{m}{1 - \beta_1^t} \qquad \hat v = \frac{v}{1 - \beta_2^t} $$
#
# （Loshchilov and Hutter 2019，算法 2；Adam 见 Kingma et al. 2015，第 2 节。）两个平均都从 0 开始，所以起初偏小。带帽子的量修正了这一点：在第 $t = 1$ 步，$\hat m$ 就是梯度本身。
#
# | 符号 | 代码里 | 常用值 | 含义 |
# | --- | --- | --- | --- |
# | $\theta, g$ | `theta`, `g` | | 一个参数，和它的梯度 |
# | $m, v$ | `m`, `v` | 从 0 开始 | $g$ 和 $g^2$ 的滑动平均 |
# | $\beta_1, \beta_2$ | `beta1`, `beta2` | 0.9, 0.999 | 旧的平均保留多少 |
# | $t$ | `t` | 1, 2, … | 第几步 |
# | $\eta$ | `rate` | $10^{-4}$ 到 $10^{-3}$ | 学习率 |
# | $\lambda$ | `decay` | 0.01 | 权重衰减 |
# | $\epsilon$ | `eps` | $10^{-8}$ | 防止除以零 |
#
# ### 一个参数，手算
#
# 一个参数的五次梯度。大多数时候方向相同，其中第四次是其他几次的一百倍：


# %%
def adamw(theta, g, m, v, t, rate=0.01, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.01):
    # 走一步，对一个数、对一个矩阵都适用。返回新的参数、m 和 v。
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
# 看第一步：不管梯度多大，走的正好是一个学习率的距离。而那个离群值几乎看不出来。要的就是这个效果。
#
# ### 所有参数，与 PyTorch 对照
#
# 同一个函数也能处理矩阵。用我们的句子走二十步，一边是手写的，一边是包里的优化器。有一处细节：只有矩阵才衰减。LayerNorm 的缩放系数本该在 1 附近，而偏置没有理由要小。

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
# 与 PyTorch 的结果相等。（当然，一句话看上二十遍，模型就背下来了。真正训练时，每一步看到的都是新的批次。）
#
# ### 它有什么用，画出来看
#
# 损失像一片地形。假设有一道狭长的山谷，横向的坡度是纵向的一百倍。梯度下降只能照陡的方向定学习率，于是沿着另一个方向慢慢爬。AdamW 在两个方向上各有各的步长。（图中橙色是梯度下降，深蓝是 AdamW，各走六十步；＋ 是最低点。）


# %%
def walk(method: str, steps: int = 60) -> Tensor:
    place, m, v, path = torch.tensor([-8.0, 0.6]), torch.zeros(2), torch.zeros(2), []
    for t in range(1, steps + 1):
        path.append(place)
        g = torch.tensor([1.0, 100.0]) * place  # 损失 (a² + 100 b²) / 2 的梯度
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
# ## 裁剪
#
# 偶尔会有一个批次很反常，梯度比平时长许多倍。即使是 AdamW，也会在 $m$ 和 $v$ 里记住它好一阵子。所以要先把梯度**裁剪**一下。把**所有**梯度连成一个长向量，如果长度超过 $c$，就一起缩短到 $c$。方向不变：
#
# $$ g \leftarrow g \cdot \min\Big(1, \frac{c}{\lVert g \rVert + 10^{-6}}\Big) \qquad
# \lVert g \rVert = \sqrt{\textstyle\sum_i g_i^2} $$
#
# BERT 的代码用 $c = 1$，我们也一样。

# %%
(loss_of(exact) * 1000).backward()  # 一个反常的批次
gradients = [p.grad.clone() for p in with_gradient(exact)]
length = math.sqrt(sum((g**2).sum() for g in gradients))
clipped = [g * min(1, 1 / (length + 1e-6)) for g in gradients]
print(f"length {length:.1f} before, {math.sqrt(sum((g**2).sum() for g in clipped)):.3f} after")
found = torch.nn.utils.clip_grad_norm_(exact.parameters(), 1.0)  # PyTorch 的
torch.testing.assert_close(found.item(), length)
for p, g in zip(with_gradient(exact), clipped, strict=True):
    torch.testing.assert_close(p.grad, g)

# %% [markdown]
# ## 学习率调度
#
# 在训练过程中，最合适的学习率是变化的。刚开始时 AdamW 一无所知：只见过一次梯度，$\hat m / \sqrt{\hat v}$ 对**每个**参数都是 $\pm 1$，单凭一个批次的说法就迈出整整一步。所以学习率先从 0 慢慢升上来，这叫**预热**（warm-up）。到了最后，我们不再找山谷，而是找谷底的最低点，步子太大就会跨过去。所以学习率再降到 0。设 $\rho$ 是训练已完成的比例，$w$ 是预热所占的比例：
#
# $$ \eta = \eta_{\max} \cdot \begin{cases} \rho / w & \rho < w \\ (1 - \rho) / (1 - w) & \text{其余} \end{cases} $$
#
# （Devlin et al. 2019，附录 A.2：一百万步中前 10,000 步预热，然后直线下降。图中实线 linear 就是它，虚线 cosine 沿余弦曲线下降；纵轴是占最高学习率的比例。）

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
# ## 完整的一步
#
# 所以，训练的一步就是下面五行。下一课会把它们运行四百次：
#
# ```python
# loss = model(**batch).loss                                  # how surprised?
# loss.backward()                                             # which direction?
# torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)     # not too far for one odd batch
# optimizer.step()                                            # how far, for each parameter?
# schedule.step(), optimizer.zero_grad()                      # the next rate; forget this gradient
# ```
#
# 五行依次是：有多惊讶？往哪个方向？不为一个反常的批次走得太远；每个参数走多远？换下一个学习率，忘掉这次的梯度。
#
# ## 习题
#
# 把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会说出来。圆点表示难度。提示和答案都是折叠的，点开才看得见。
#
# **默写**：合上笔记本，再写 `adamw_step`（●●●，15 分钟）。`from minibert.course.zh import task; task("adamw_step")` 会把题目打印出来。
#
# ### 1. `first_step`（●○○，3 分钟）
#
# 一个参数的第一次梯度是 1000。学习率是 0.001，没有权重衰减，AdamW 让它移动多远？答案不带正负号。
#
# <details><summary>提示</summary>
#
# 修正之后，$\hat m$ 就是梯度，$\hat v$ 就是它的平方。
# </details>
# <details><summary>答案</summary>
#
# ```python
# first_step = 0.001
# ```
# </details>

# %%
first_step = None  # 一个数
check("first_step", first_step)

# %% [markdown]
# ### 2. `clip`（●●○，8 分钟）
#
# 把几个矩阵一起裁剪到长度 `limit`，返回新的列表。本来就更短的，保持不变。
#
# <details><summary>提示</summary>
#
# 长度是所有矩阵的所有元素的平方和的平方根。全部乘以同一个系数，它绝不大于 1。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def clip(gradients, limit):
#     length = math.sqrt(sum((g**2).sum() for g in gradients))
#     return [g * min(1, limit / (length + 1e-6)) for g in gradients]
# ```
# </details>


# %%
def clip(gradients, limit):
    pass  # 你的代码


check("clip", clip)

# %% [markdown]
# ### 3. `rate_share`（●●○，6 分钟）
#
# 返回某一步占最高学习率的份额：从 0 沿直线升到 1，在 `warmup_steps` 处到达；再沿直线降到 0，在 `steps` 处到达。也可能没有预热。
#
# <details><summary>提示</summary>
#
# 分两种情况。下降时，问一问还剩几步，总共几步。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def rate_share(step, steps, warmup_steps):
#     return step / warmup_steps if step < warmup_steps else (steps - step) / (steps - warmup_steps)
# ```
# </details>


# %%
def rate_share(step, steps, warmup_steps):
    pass  # 你的代码


check("rate_share", rate_share)
