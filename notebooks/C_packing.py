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
# # C · Packing: what padding costs, and how not to pay
#
# [中文](zh/C_packing.ipynb)
#
# > **The question:** texts differ in length, so a batch is filled up with padding. How much work is that, and can we
# > leave it out?
#
# - **You need** notebook 4.
# - **Afterwards you can** compute BERT on texts of unequal length without padding, show that nothing changes, and read
#   [`model/packing.py`](../minibert/model/packing.py).
# - **Time:** 25 minutes, and 18 for the exercises.
#
# Notebook 4's BERT on one page is right, but wasteful. Put our sentence into a batch with a text of a hundred tokens:
#
# > **The file is opened for reading.**
#
# Now it is a hundred tokens long, too, and about ninety of them are `[PAD]`. The mask makes sure that they do not
# matter, but they are computed all the same, in every layer.
#
# ![A padded batch and the same batch packed](../docs/images/diagrams/padded-packed.svg)

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
import time

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from minibert import BertForPreTraining, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course import check
from minibert.model.packing import Packing

# %%
MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
package = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)

# %% [markdown]
# ## The page again
#
# The attention and the layer are those of notebook 4, without dropout, because we do not train here. The parameters are
# those of the package.


# %%
class SelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.query, self.key, self.value, self.mix = (nn.Linear(config.hidden_size, config.hidden_size) for _ in "qkvm")
        self.heads = config.num_attention_heads

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # (B, S, D), (B, S) -> (B, S, D)
        q, k, v = (f(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        scores = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).masked_fill(~mask[:, None, None], -math.inf)
        return self.mix((scores.softmax(dim=3) @ v).transpose(1, 2).flatten(2))


# %%
class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        D, inner = config.hidden_size, config.intermediate_size
        self.attention = SelfAttention(config)
        self.feed_forward = nn.ModuleDict({"up": nn.Linear(D, inner), "down": nn.Linear(inner, D)})
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(D, eps=1e-12), nn.LayerNorm(D, eps=1e-12)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # any shape (..., D) that the attention takes
        x = self.attention_norm(x + self.attention(x, mask))
        return self.feed_forward_norm(x + self.feed_forward.down(nn.functional.gelu(self.feed_forward.up(x))))


# %%
def with_the_package_s_parameters(kind: type[nn.Module]) -> nn.ModuleList:
    layers = nn.ModuleList(kind(package.config) for _ in package.bert.encoder.layer).requires_grad_(False).eval()
    for layer, block in zip(layers, package.bert.encoder.layer, strict=True):
        layer.load_state_dict({name: block.get_parameter(name) for name, _ in layer.named_parameters()})
    return layers


padded_layers = with_the_package_s_parameters(Layer)

# %% [markdown]
# ## What padding costs
#
# We draw 64 texts with lengths as in real collections: many short and a few long ones. The cost does not
# depend on the words, so they are random. The $T$ tokens lie in a rectangle of $B \times S$ places:
#
# $$ \text{padding} = 1 - \frac{T}{B\,S} \qquad T = \sum_b n_b \qquad S = \max_b n_b $$
#
# | symbol | here | meaning |
# | --- | --- | --- |
# | $n_b$ | `lengths[b]` | tokens of text $b$ |
# | $B, S$ | `token_ids.shape` | texts, and the length of the longest |
# | $T$ | `mask.sum()` | real tokens |

# %%
generator = torch.Generator().manual_seed(0)
lengths = (14 * torch.randn(64, generator=generator).mul(0.9).exp()).long().clamp(5, 128)
B, S, T = len(lengths), int(lengths.max()), int(lengths.sum())
mask = torch.arange(S) < lengths[:, None]  # (B, S)
token_ids = torch.randint(5, len(tokenizer), (B, S), generator=generator) * mask  # 0 is [PAD]
print(f"{B} texts of {lengths.min()} to {S} tokens: {T:,} tokens, {B * S:,} places, {1 - T / (B * S):.0%} padding")
assert tokenizer.pad_token_id == 0 and T < B * S / 3

# %%
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
image = ax.imshow(mask.numpy(), cmap="Blues", vmax=1.4, aspect="auto", interpolation="nearest")
title = ax.set(xlabel="position", ylabel="text", title="what is computed: dark are tokens, white is padding")


# %%
def embed(token_ids: Tensor, positions: Tensor) -> Tensor:
    return package.bert.embeddings(token_ids, torch.zeros_like(token_ids), positions)


def run_padded(token_ids: Tensor, mask: Tensor) -> Tensor:
    x = embed(token_ids, torch.arange(token_ids.shape[1]).expand_as(token_ids))  # (B, S, D)
    for layer in padded_layers:
        x = layer(x, mask)
    return x


# %% [markdown]
# ### First with a loop
#
# The simplest way out is to compute every text on its own. There is no padding, and nothing changes:

# %%
padded = run_padded(token_ids, mask)
for b in range(B):
    n = int(lengths[b])
    single = run_padded(token_ids[b : b + 1, :n], mask[b : b + 1, :n])
    torch.testing.assert_close(single[0], padded[b, :n])
print("each text alone gives what it gives in the batch")

# %% [markdown]
# But small matrices leave most of a processor idle. Can we have both, large matrices and no padding?
#
# ## Only attention needs to know
#
# Look at the parts of BERT. Embeddings, LayerNorm, the feed-forward network, the projections in attention: all
# treat each token on its own ("applied to each position separately and identically", Vaswani et al. 2017, section 3.3).
# They do not care in which text a token stands, nor whether there are texts at all. Only where queries meet keys do we
# have to know which tokens belong together.
#
# So we drop the rectangle. The batch becomes one long matrix `(T, D)` of real tokens, text after text. Everything runs
# on it as it is, except for the middle of attention, which runs text by text:


# %%
class PackedAttention(SelfAttention):
    def forward(self, x: Tensor, lengths: list[int]) -> Tensor:  # (T, D) -> (T, D)
        q, k, v = (f(x).unflatten(1, (self.heads, -1)) for f in (self.query, self.key, self.value))  # (T, H, K)
        contexts = []
        for texts in zip(*(part.split(lengths) for part in (q, k, v)), strict=True):
            query, key, value = (part.transpose(0, 1) for part in texts)  # (H, n, K)
            weights = (query @ key.transpose(1, 2) / math.sqrt(query.shape[2])).softmax(dim=2)
            contexts.append((weights @ value).transpose(0, 1).flatten(1))
        return self.mix(torch.cat(contexts))


# %%
class PackedLayer(Layer):
    def __init__(self, config):
        super().__init__(config)
        self.attention = PackedAttention(config)  # the rest stays as it is


packed_layers = with_the_package_s_parameters(PackedLayer)


def run_packed(token_ids: Tensor, mask: Tensor) -> Tensor:
    x = embed(token_ids[mask], torch.arange(mask.shape[1]).expand_as(mask)[mask])  # (T, D)
    for layer in packed_layers:
        x = layer(x, mask.sum(dim=1).tolist())
    return x


# %%
packed = run_packed(token_ids, mask)
torch.testing.assert_close(packed, padded[mask])
print(f"{tuple(padded.shape)} became {tuple(packed.shape)}, and every token has the vector that it had")

# %% [markdown]
# ## All texts of one length together
#
# One thing is left to improve: in each layer, the middle of attention runs 64 times, on small matrices. But texts of
# *equal* length form a rectangle without padding. So sort the texts by length, and run attention once for each length.
# This is what the package does on a CPU. Its `Packing` knows the order, and the way there and back:

# %%
packing = Packing.from_mask(mask, B, S)
print(f"{len(packing.groups)} groups instead of {B} texts; (texts, tokens each): {packing.groups[:5]} …")
flat = packing.flatten(token_ids)  # (T,), sorted by length
assert flat.shape == (T,) and torch.equal(packing.unflatten(flat), token_ids)
assert torch.equal(packing.unflatten(packing.flatten(mask.long())), mask.long())
theirs = package.bert(token_ids, mask.long()).last_hidden_state
torch.testing.assert_close(theirs[mask], packed)
print("equal to the package")

# %% [markdown]
# The reference computes the padded rectangle. At real tokens, it gives the same numbers:

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    reference = transformers.BertForPreTraining.from_pretrained(local_folder(MODEL)).float().eval()
    expected = reference.bert(token_ids, attention_mask=mask.long()).last_hidden_state.detach()
    torch.testing.assert_close(expected[mask], packed)
    print("equal to the reference")

# %% [markdown]
# ## What it buys
#
# We time four ways on your machine: padded, each text alone, packed, and the package's own. Each runs five times; the
# fastest run counts. (The numbers stored here come from two cores of a server. Yours will differ.)


# %%
def alone(token_ids: Tensor, mask: Tensor) -> list[Tensor]:
    return [run_padded(ids[None, :n], real[None, :n]) for ids, real, n in zip(token_ids, mask, lengths, strict=True)]


def seconds(function, times: int = 5) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        function(token_ids, mask)
        taken.append(time.perf_counter() - start)
    return min(taken)


# %%
ways = {"padded": run_padded, "each text alone": alone, "packed": run_packed}
ways["package"] = lambda token_ids, mask: package.bert(token_ids, mask.long())
speed = {name: T / seconds(way) for name, way in ways.items()}
for name, tokens_per_second in speed.items():
    print(f"{name:15} {tokens_per_second:8,.0f} real tokens per second")
assert speed["packed"] > speed["padded"] and speed["package"] > speed["padded"]

# %%
figure, ax = plt.subplots(figsize=(6.5, 2.2), layout="constrained")
bars = ax.barh(list(speed), list(speed.values()), color=["#d98032", "#9db8d2", "#9db8d2", "#1b3a5c"])
labelled = ax.bar_label(bars, labels=[f"{value / speed['padded']:.1f}×" for value in speed.values()], padding=3)
ax.set(xlabel="real tokens per second", xlim=(0, 1.15 * max(speed.values())))
ax.invert_yaxis()

# %% [markdown]
# What does it cost? The forward pass is a little harder to read, because attention must split the tokens into texts
# and join them again. If you look inside the model, you find tokens, not texts, and need `unflatten`. And if all texts
# have the same length, packing buys nothing. The package pays this price in one file. The rest of the model reads like
# your page from notebook 4, with `(T, D)` in place of `(B, S, D)`.
#
# ## Exercises
#
# Write each answer into its cell and run it, as often as you like: `check` says what is wrong. The dots say how hard
# an exercise is. Hints and solutions are folded up.
#
# ### 1. `padding_share` (●○○, 3 minutes)
#
# A batch holds texts of 3, 9, 5 and 7 tokens. Which share of its places is padding?
#
# <details><summary>Hint</summary>
#
# All texts become as long as the longest.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# padding_share = 1 - (3 + 9 + 5 + 7) / (4 * 9)
# ```
# </details>

# %%
padding_share = None  # a number
check("padding_share", padding_share)

# %% [markdown]
# ### 2. `unpack` (●○○, 5 minutes)
#
# Write the way back: put the rows of `flat` `(T, D)` back into the places where `mask` `(B, S)` is true, with zeros
# elsewhere, and return `(B, S, D)`.
#
# <details><summary>Hint</summary>
#
# What you can read with a mask, `x[mask]`, you can also write.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def unpack(flat, mask):
#     result = torch.zeros(*mask.shape, flat.shape[1])
#     result[mask] = flat
#     return result
# ```
# </details>


# %%
def unpack(flat, mask):
    pass  # your code


check("unpack", unpack)

# %% [markdown]
# ### 3. `batches` (●●○, 10 minutes)
#
# Without packing, it helps to put texts of similar length into one batch. Sort `lengths` and cut them into batches,
# from the shortest on, each as large as it can be without having more than `places` places (texts × longest). Return a
# list of lists.
#
# <details><summary>Hint</summary>
#
# In a sorted list, the next text is always the longest so far.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def batches(lengths, places):
#     result = [[]]
#     for n in sorted(lengths):
#         if (len(result[-1]) + 1) * n > places:
#             result.append([])
#         result[-1].append(n)
#     return result
# ```
# </details>


# %%
def batches(lengths, places):
    pass  # your code


check("batches", batches)
