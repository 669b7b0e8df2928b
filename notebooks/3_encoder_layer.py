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
# # 3 · The encoder layer: one vector along the residual stream
#
# [中文](zh/3_encoder_layer.ipynb)
#
# > **The question:** once a token has collected information from the others, what does it do with it?
#
# - **You need** notebooks 1 and 2.
# - **Afterwards you can** write the feed-forward network and a whole encoder layer, say what GELU is, and follow one
#   vector through all layers.
# - **Time:** 25 minutes, and 17 for the exercises.
#
# Attention lets tokens exchange what they know. Then the **feed-forward** network lets each token, on its own, think
# about what it got. Both *add* to the token's vector. So each token has one vector that runs through the whole model,
# and every part reads it and adds to it. This is the **residual stream**. (In BERT it does not flow undisturbed: after
# each sum, a LayerNorm rescales it.)
#
# ![The residual stream](../docs/images/diagrams/residual-stream.svg)
#
# We follow one such vector on its way, that of a hidden word. In notebook 4 we shall see how it turns from "some word
# is missing here" into "*reading*".
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
import torch.nn.functional as F
from torch import Tensor, nn

from minibert import BertForPreTraining, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course import check

# %%
MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
model = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)

# %% [markdown]
# First, what we have built so far. The embeddings are those of notebook 1, and this is the attention of notebook 2,
# word for word:


# %%
class OurSelfAttention(nn.Module):
    def __init__(self, hidden: int, heads: int):
        super().__init__()
        self.query, self.key, self.value, self.mix = (nn.Linear(hidden, hidden) for _ in range(4))
        self.heads = heads

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # (B, S, D), (B, S) -> (B, S, D)
        q, k, v = (f(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        scores = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).masked_fill(~mask[:, None, None], -math.inf)
        return self.mix((scores.softmax(dim=3) @ v).transpose(1, 2).flatten(2))


# %%
tokens = tokenizer.tokenize("The file is opened for [MASK].", add_special_tokens=True)
token_ids = torch.tensor(tokenizer.convert_tokens_to_ids(tokens))  # (T,)
T, hidden_token = len(tokens), tokens.index("[MASK]")
mask = torch.ones(1, T, dtype=torch.bool)  # one text, no padding
start = model.bert.embeddings(token_ids, torch.zeros_like(token_ids), torch.arange(T))  # (T, D)
layer = model.bert.encoder.layer[0]
attention = OurSelfAttention(model.config.hidden_size, model.config.num_attention_heads)
attention.load_state_dict({name: layer.attention.get_parameter(name) for name, _ in attention.named_parameters()})
x, attended = start, attention(start[None], mask)[0].detach()  # (T, D) each
print(*(f"{number:.2f}" for number in x[hidden_token, :10]), "... : the vector of [MASK] at the start")

# %% [markdown]
# These are the equations of one layer (Vaswani et al. 2017, sections 3.1 and 3.3, equation 2, with GELU in place of
# ReLU, as in Devlin et al. 2019, appendix A.2):
#
# $$ y = \mathrm{LayerNorm}_1\big(x + \mathrm{Attention}(x)\big) $$
#
# $$ \mathrm{FFN}(y) = W_2 \, \mathrm{gelu}(W_1 y + b_1) + b_2
# \qquad \mathrm{gelu}(u) = u \cdot \tfrac12 \Big(1 + \mathrm{erf}\frac{u}{\sqrt 2}\Big) $$
#
# $$ z = \mathrm{LayerNorm}_2\big(y + \mathrm{FFN}(y)\big) $$
#
# | symbol | here | shape | meaning |
# | --- | --- | --- | --- |
# | $x, y, z$ | `x`, `y`, `z` | $(D)$ per token | before, between and after |
# | $\mathrm{Attention}$ | `layer.attention` | | heads and output projection, notebook 2 |
# | $\mathrm{LayerNorm}_1$ | `layer.attention_norm` | | as in notebook 1, with parameters of its own |
# | $W_1, b_1$ | `up.weight`, `up.bias` | $(F, D)$, $(F)$ | $F = 512$ neurons read the token |
# | $W_2, b_2$ | `down.weight`, `down.bias` | $(D, F)$, $(D)$ | and write to it |
# | $\mathrm{LayerNorm}_2$ | `layer.feed_forward_norm` | | |
# | $\mathrm{erf}$ | `torch.erf` | | an S-shaped curve from −1 to 1, so that $\mathrm{gelu}(u)$ is between 0 and $u$ |
#
# Dropout comes before each sum; outside of training it does nothing.
#
# ## Add and normalise
#
# What attention gives is added to the token, and the sum is normalised. In BERT the norm comes *after* the sum
# (post-norm). Many later models put it before the attention instead, and leave the stream itself alone.

# %%
summed = x + attended
y = layer.attention_norm(summed)
for name, vector in (("x", x), ("what attention adds", attended), ("their sum", summed), ("y, normalised", y)):
    print(f"{name:20} length {vector[hidden_token].norm():6.2f}")

# %% [markdown]
# ## The feed-forward network
#
# ### First with a loop
#
# Each of the $F$ neurons has a vector that it looks for in the token (a row of $W_1$), and another that it adds to the
# token when it has found the first (a column of $W_2$). The **activation**, here GELU, decides how much is added. It is
# what makes this a network of two layers: without it, $W_2 W_1$ would be a single matrix. Every token goes through the
# same network, and no token sees another.


# %%
def gelu(u: Tensor) -> Tensor:
    return u * 0.5 * (1 + torch.erf(u / math.sqrt(2)))


up, down = layer.feed_forward.up, layer.feed_forward.down
added = down.bias.clone()  # what the network adds to the one token
activity = torch.empty(len(up.bias))
for neuron in range(len(up.bias)):
    activity[neuron] = gelu(up.weight[neuron] @ y[hidden_token] + up.bias[neuron])
    added += activity[neuron] * down.weight[:, neuron]

# %%
u = torch.linspace(-4, 4, 200)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.plot(u, gelu(u), color="#1b3a5c", label="gelu")
left.plot(u, F.relu(u), color="#d98032", linestyle="--", label="relu")
left.set(xlabel="what the neuron finds", ylabel="what it passes on", title="the activation")
left.grid(alpha=0.3)
left.legend()
right.hist(activity.numpy(), bins=40, color="#1b3a5c")
right.set(xlabel="activity", ylabel="neurons", title="the 512 neurons at [MASK]")
right.grid(alpha=0.3)

# %% [markdown]
# GELU is nearly zero on the left, and nearly the number itself on the right. Most neurons add little to this token, and
# a few add much.
#
# ### Then with matrices

# %%
fed = gelu(y @ up.weight.T + up.bias) @ down.weight.T + down.bias  # (T, D) -> (T, F) -> (T, D)
torch.testing.assert_close(fed[hidden_token], added)
torch.testing.assert_close(gelu(u), F.gelu(u))
z = layer.feed_forward_norm(y + fed)
print(f"added to [MASK]: length {added.norm():.2f}; z: length {z[hidden_token].norm():.2f}")

# %% [markdown]
# ### Then as a module


# %%
class OurLayer(nn.Module):
    def __init__(self, hidden: int, heads: int, inner: int):
        super().__init__()
        self.attention = OurSelfAttention(hidden, heads)
        self.feed_forward = nn.ModuleDict({"up": nn.Linear(hidden, inner), "down": nn.Linear(inner, hidden)})
        self.attention_norm, self.feed_forward_norm = (nn.LayerNorm(hidden, eps=1e-12) for _ in "yz")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # (B, S, D), (B, S) -> (B, S, D)
        y = self.attention_norm(x + self.attention(x, mask))
        return self.feed_forward_norm(y + self.feed_forward.down(gelu(self.feed_forward.up(y))))


# %% [markdown]
# To compare, we make one of our layers for each layer of the package and fill it with the package's parameters. With
# `output_hidden_states`, the package also returns what comes out of every layer.

# %%
ours = []
for block in model.bert.encoder.layer:
    sizes = model.config.hidden_size, model.config.num_attention_heads, model.config.intermediate_size
    ours.append(OurLayer(*sizes).requires_grad_(False).eval())
    ours[-1].load_state_dict({name: block.get_parameter(name) for name, _ in ours[-1].named_parameters()})
theirs = model(token_ids[None], output_hidden_states=True).hidden_states  # L + 1 times (1, T, D)
torch.testing.assert_close(ours[0](start[None], mask), theirs[1])
torch.testing.assert_close(z, theirs[1][0])
print("equal to minibert.model.encoder.EncoderLayer")

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    reference = transformers.BertForPreTraining.from_pretrained(local_folder(MODEL)).float().eval()
    expected = reference.bert.encoder.layer[0](start[None])[0].view(T, -1)
    torch.testing.assert_close(expected.detach(), z)
    print("equal to the reference")

# %% [markdown]
# ## The whole way
#
# A BERT is a stack of such layers. Ours has two, and BERT-base has twelve. Here are all the stations that the vector of
# `[MASK]` passes, and how far it has turned away from where it started:

# %%
stations, x = {"embeddings": start}, start[None]
for number, block in enumerate(ours):
    after_attention = block.attention_norm(x + block.attention(x, mask))
    x = block(x, mask)
    stations |= {f"attention {number}": after_attention[0], f"feed-forward {number}": x[0]}
turned = [F.cosine_similarity(v[hidden_token], start[hidden_token], dim=0).item() for v in stations.values()]
for name, cosine in zip(stations, turned, strict=True):
    print(f"{name:15} cosine with the start {cosine:5.2f}")
torch.testing.assert_close(x, theirs[-1])

# %% [markdown]
# All we see so far is a vector that turns. Is it turning *towards* something? At the end it should say which word is
# missing. So we run the model again with nothing hidden, and follow the true word, *reading*. At every station, we
# compare the vector of `[MASK]` with what the embeddings give for *reading* (dashed line), and with what the **last
# layer** gives for it (solid line):

# %%
full = tokenizer("The file is opened for reading.", return_tensors="pt")
truth = model(**full, output_hidden_states=True).hidden_states  # of the sentence without a blank
towards_end = [F.cosine_similarity(v[hidden_token], truth[-1][0, hidden_token], dim=0) for v in stations.values()]
towards_word = [F.cosine_similarity(v[hidden_token], truth[0][0, hidden_token], dim=0) for v in stations.values()]
figure, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
ax.plot(list(stations), towards_end, "o-", color="#1b3a5c", label="“reading” out of the last layer")
ax.plot(list(stations), towards_word, "s--", color="#d98032", label="“reading” out of the embeddings")
ax.set(xlabel="station of the vector of [MASK]", ylabel="cosine similarity", ylim=(-0.3, 1))
legend = ax.legend(), ax.grid(alpha=0.3)
assert towards_end[-1] == max(towards_end) and towards_end[-1] > 0.5

# %% [markdown]
# The hidden word's vector ends close to where the word itself would have ended, although the model never saw the word.
# What is still missing is a way to read a word off the vector. That is the job of the heads, in the next notebook.
#
# ## Exercises
#
# Write each answer into its cell and run it, as often as you like: `check` says what is wrong. The dots say how hard
# an exercise is. Hints and solutions are folded up.
#
# To be written **from memory**, with the notebook closed: `encoder_layer` (●●●, 20 minutes).
# `from minibert.course import task; task("encoder_layer")` prints what to write.
#
# ### 1. `layer_parameters` (●○○, 5 minutes)
#
# How many parameters does one layer of BERT-base have ($D = 768$, $F = 3072$)? Count all weights and biases, and both
# LayerNorms.
#
# <details><summary>Hint</summary>
#
# Four matrices $D \times D$ with a bias (query, key, value, mix), one $D \to F$, one $F \to D$, two norms.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# layer_parameters = 4 * (768 * 768 + 768) + (768 * 3072 + 3072) + (3072 * 768 + 768) + 2 * 2 * 768
# ```
# </details>

# %%
layer_parameters = None  # a number
check("layer_parameters", layer_parameters)

# %% [markdown]
# ### 2. `gelu_tanh` (●○○, 4 minutes)
#
# Google's code once wrote GELU without erf: $0.5\,u\,\big(1 + \tanh\big(\sqrt{2/\pi}\,(u + 0.044715\,u^3)\big)\big)$.
# Write it.
#
# <details><summary>Hint</summary>
#
# `torch.tanh` is what you need, and `math.sqrt` of a number that does not change.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def gelu_tanh(u):
#     return 0.5 * u * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))
# ```
# </details>


# %%
def gelu_tanh(u):
    pass  # your code


check("gelu_tanh", gelu_tanh)

# %% [markdown]
# ### 3. `pre_norm` (●●○, 8 minutes)
#
# Write the pre-norm layer that later models use, $y = x + \mathrm{Attention}(\mathrm{LayerNorm}_1(x))$ and
# $z = y + \mathrm{FFN}(\mathrm{LayerNorm}_2(y))$. `x` is `(T, D)`; the other arguments are functions of such a matrix.
#
# <details><summary>Hint</summary>
#
# Two lines, one for each equation. What is added is `x`, not its norm.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def pre_norm(x, attention, feed_forward, norm_1, norm_2):
#     y = x + attention(norm_1(x))
#     return y + feed_forward(norm_2(y))
# ```
# </details>


# %%
def pre_norm(x, attention, feed_forward, norm_1, norm_2):
    pass  # your code


check("pre_norm", pre_norm)
