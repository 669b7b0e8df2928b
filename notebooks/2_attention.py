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
# # 2 · Attention: every token asks, and every token answers
#
# [中文](zh/2_attention.ipynb)
#
# > **The question:** how can a word learn from the other words of its sentence, near or far?
#
# - **You need** notebook 1, the softmax (it turns scores into shares that add up to one), and the dot product.
# - **Afterwards you can** compute attention by hand, cut vectors into heads and merge them again, explain the $\sqrt
#   K$, and hide padding with a mask.
# - **Time:** 40 minutes, and 18 for the exercises. This is the longest notebook, and the most important one.
#
# So far, each token knows only itself. In "The file is opened for reading", the token *opened* should find out that
# what is opened is a **file**, and that the purpose is **reading**. So each token asks a question, its **query**. Each
# token also holds up a sign that says what it has to offer, its **key**. Where a key fits the query, the owner of the
# key hands over some information, its **value**. That takes five steps:
#
# 1. queries, keys and values · 2. scores · 3. softmax · 4. weights times values · 5. output projection and residual
#
# One such way of asking, with its own queries, keys and values, is called an **attention head**. BERT has several of
# them side by side, so that a token can ask several questions at once. (The heads of notebook 0 are something else: the
# parts on top of the body that give an answer.) We walk through the steps with a single head first, printing the
# numbers as we go, and then with all heads at once.
#
# ![Queries, keys and values, in heads, merged again](../docs/images/diagrams/attention-heads.svg)

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
from torch import Tensor, nn

from minibert import BertForPreTraining, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course import check
from minibert.model.attention import fused_attention, scaled_dot_product_attention

# %%
MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
model = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)

# %% [markdown]
# We start from `x`, which the last notebook ended with: a row of 128 numbers for each of the nine tokens.

# %%
sentence = "The file is opened for reading."
tokens = tokenizer.tokenize(sentence, add_special_tokens=True)
token_ids = torch.tensor(tokenizer.convert_tokens_to_ids(tokens))  # (T,)
T = len(tokens)
x = model.bert.embeddings(token_ids, torch.zeros_like(token_ids), torch.arange(T))  # (T, D)
attention = model.bert.encoder.layer[0].attention
D, H = x.shape[1], attention.num_heads
K = D // H
print(f"{T} tokens of D = {D} numbers, H = {H} heads of K = {K} each")

# %% [markdown]
# These are the equations that we are about to compute, with the biases that the papers leave out (Vaswani et al. 2017,
# sections 3.2.1 and 3.2.2):
#
# $$ q_i = W^Q x_i + b^Q \qquad k_j = W^K x_j + b^K \qquad v_j = W^V x_j + b^V $$
#
# $$ s_{ij} = \frac{q_i \cdot k_j}{\sqrt{K}} \qquad a_{ij} = \frac{e^{s_{ij}}}{\sum_{j'} e^{s_{ij'}}}
# \qquad c_i = \sum_j a_{ij} v_j $$
#
# $$ y_i = x_i + W^O \, [c_i^{1}; \ldots; c_i^{H}] + b^O $$
#
# | symbol | here | shape | meaning |
# | --- | --- | --- | --- |
# | $x_i$ | `x[i]` | $(D)$ | token $i$ |
# | $W^Q, b^Q$ | `query_weight`, `query_bias` | $(K, D)$, $(K)$ | one head's rows of `attention.query` |
# | $q_i, k_j, v_j$ | `queries[i]`, `keys[j]`, `values[j]` | $(K)$ | what $i$ asks, what $j$ offers and gives |
# | $s_{ij}, a_{ij}$ | `scores[i, j]`, `weights[i, j]` | | how well they fit; the share that $i$ takes from $j$ |
# | $c_i$ | `context[i]` | $(K)$ | the mix of values that $i$ gets, one for each head |
# | $W^O, b^O$ | `attention.mix` | $(D, D)$, $(D)$ | mixes the heads |
#
# ## One head, one number at a time
#
# ### Step 1: a query, a key and a value for each token
#
# Each head owns $K = 32$ of the 128 rows of each projection. We take the third of the four heads, number 2.

# %%
head = 2
rows = slice(head * K, (head + 1) * K)
query_weight, query_bias = attention.query.weight[rows], attention.query.bias[rows]  # (K, D), (K,)
queries = torch.empty(T, K)
for i in range(T):
    for k in range(K):
        queries[i, k] = sum(query_weight[k] * x[i]) + query_bias[k]
keys = x @ attention.key.weight[rows].T + attention.key.bias[rows]  # the same in one line
values = x @ attention.value.weight[rows].T + attention.value.bias[rows]
torch.testing.assert_close(queries, x @ query_weight.T + query_bias)

# %% [markdown]
# ### Step 2: scores
#
# How well does a key fit a query? The score of the pair is their dot product, which is large if both point the same
# way. It is divided by $\sqrt{K}$, for a reason that we shall see below. Here is how well each key fits what *opened*
# asks:

# %%
scores = torch.empty(T, T)
for i in range(T):
    for j in range(T):
        scores[i, j] = sum(queries[i] * keys[j]) / math.sqrt(K)
opened = tokens.index("opened")
for token, score in zip(tokens, scores[opened], strict=True):
    print(f"opened → {token:8} {score:6.2f}")

# %% [markdown]
# ### Step 3: softmax
#
# A token cannot take everything from everybody: it has to divide its attention. The softmax turns the scores into
# shares, which are positive and add up to one. It works on each *row* of the table, because it is the query that
# divides its attention among the keys.

# %%
weights = torch.empty(T, T)
for i in range(T):
    powers = [math.exp(score) for score in scores[i]]
    weights[i] = torch.tensor([power / sum(powers) for power in powers])
for token, weight in zip(tokens, weights[opened], strict=True):
    print(f"opened → {token:8} {weight:6.1%}  {'█' * round(40 * weight.item())}")
torch.testing.assert_close(weights.sum(dim=1), torch.ones(T))
assert tokens[weights[opened].argmax()] == "file"

# %% [markdown]
# There it is: *opened* has found **file**. This head asks, for every token, about the one two places to its left. The
# head that finds *reading* appears in the picture further down.
#
# ### Step 4: weights times values
#
# Now the values are handed over. What *opened* gets is a mix of the values of all tokens, in these shares:

# %%
context = torch.zeros(T, K)
for i in range(T):
    for j in range(T):
        context[i] += weights[i, j] * values[j]
print("opened, the first six of its 32 numbers:", *(f"{number:6.3f}" for number in context[opened, :6]))

# %% [markdown]
# ### Step 5: output projection and residual
#
# The head has $K$ numbers to say, and the tokens have $D$. The output projection brings the $K$ numbers back into the
# $D$ dimensions. A head meets only its own $K$ columns of $W^O$, so each head *adds* something to the token,
# independently of the others. And the sum is added to what the token was before. This is the **residual** connection:
# attention changes a token, but does not replace it.

# %%
columns = rows  # of the output's input
contribution = context @ attention.mix.weight[:, columns].T  # (T, K) @ (K, D) -> (T, D)
y = x + contribution  # with one head only; the other three and the bias follow below
print("opened before:", *(f"{number:6.3f}" for number in x[opened, :6]))
print("the head adds:", *(f"{number:6.3f}" for number in contribution[opened, :6]))
print("opened after: ", *(f"{number:6.3f}" for number in y[opened, :6]))

# %% [markdown]
# ## One head with matrices
#
# Loops are easy to follow and slow to run. These loops are nothing but matrix products: steps 2 to 4 together are
# equation 1 of the paper,
#
# $$ \mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{d_k}}\right) V $$
#
# (In the paper's notation, $K$ is the matrix of all keys, and $d_k$ is the size of a head, our $K$.)

# %%
matrix_weights = (queries @ keys.T / math.sqrt(K)).softmax(dim=-1)
torch.testing.assert_close(matrix_weights, weights)
torch.testing.assert_close(matrix_weights @ values, context)

# The package's function takes a batch of sequences with heads, (B, H, S, K): here one of each.
batch_of_one = [matrix[None, None] for matrix in (queries, keys, values)]
package_context, package_weights = scaled_dot_product_attention(*batch_of_one)
torch.testing.assert_close(package_context[0, 0], context)
torch.testing.assert_close(package_weights[0, 0], weights)

# %% [markdown]
# ### Why divide by $\sqrt K$?
#
# The dot product of two random vectors of $K$ numbers has a standard deviation of $\sqrt K$. So without the division,
# scores would grow with the size of the head, and the softmax would give everything to one token. A small change of the
# scores would then change nothing, and training, which works by small changes, could not teach the head to look
# elsewhere (section 3.2.1, footnote 4). Try it:

# %%
generator = torch.Generator().manual_seed(0)
for size in (4, 64, 1024):
    a, b = torch.randn(2, 2000, 9, size, generator=generator)
    products = (a[:, :1] @ b.transpose(1, 2))[:, 0]  # (2000, 9): a query meets nine keys, 2000 times
    plain, scaled = products.softmax(-1).amax(-1).mean(), (products / math.sqrt(size)).softmax(-1).amax(-1).mean()
    print(f"K = {size:4}: deviation {products.std():5.1f}, largest weight {plain:.0%}, scaled {scaled:.0%}")
    assert abs(products.std() / math.sqrt(size) - 1) < 0.05

# %% [markdown]
# ## All heads at once
#
# One head has found *file*. To find *reading* as well, a token must ask a second question. That is why BERT has several
# heads side by side: four small ones cost no more than a large one. To compute all of them together, cut the 128
# numbers into 4 × 32 and move the heads in front of the tokens, so that each head is a matrix of its own:
#
# `(T, D)` → view as `(T, H, K)` → transpose to `(H, T, K)`
#
# Do not take the shortcut of a view straight to `(H, T, K)`. The shape is right and the numbers are wrong, because it
# cuts along the tokens and mixes them up.


# %%
def split_heads(matrix: Tensor) -> Tensor:
    """(T, D) -> (H, T, K)"""
    return matrix.view(T, H, K).transpose(0, 1)


query, key, value = (split_heads(linear(x)) for linear in (attention.query, attention.key, attention.value))
torch.testing.assert_close(query[head], queries)
all_weights = (query @ key.transpose(-2, -1) / math.sqrt(K)).softmax(dim=-1)  # (H, T, T)
contexts = all_weights @ value  # (H, T, K)

# %%
figure, axes = plt.subplots(1, H, figsize=(11, 3.2), sharey=True, layout="constrained")
for number, ax in enumerate(axes):
    image = ax.imshow(all_weights[number].numpy(), cmap="Blues", vmin=0, vmax=1)
    ax.set(title=f"head {number}", xlabel="key", xticks=range(T), yticks=range(T), yticklabels=tokens)
    ax.set_xticklabels(tokens, rotation=90)
axes[0].set_ylabel("query")
bar = figure.colorbar(image, ax=axes, label="attention weight")
finds = [tokens[row.argmax()] for row in all_weights[:, opened]]
assert finds == ["is", "for", "file", "reading"]
print("opened looks most at:", ", ".join(f"{found} (head {number})" for number, found in enumerate(finds)))

# %% [markdown]
# Read each row from left to right: where does this token look? In the row of *opened*, heads 0 and 1 look at its
# neighbours *is* and *for*, head 2 looks at **file**, and head 3 at **reading**.
#
# Did the model find that out? Only in part. Our pretraining *starts* the four heads of this layer at one and two places
# to the left and to the right, and training kept what was useful. Notebook 7 shows what this start is worth. Notebook 9
# shows heads that found their work by themselves, and asks what a model does with what its heads look at, which is a
# different question.
#
# ### Merging
#
# Merging goes the same way back: transpose first, then put the heads of a token side by side. Because every head meets
# only its own columns of $W^O$, projecting the merged heads gives the sum of what the heads add, plus the bias:

# %%
merged = contexts.transpose(0, 1).reshape(T, D)  # (H, T, K) -> (T, H, K) -> (T, D)
output = merged @ attention.mix.weight.T + attention.mix.bias
parts = [contexts[h] @ attention.mix.weight[:, h * K : (h + 1) * K].T for h in range(H)]
torch.testing.assert_close(output, sum(parts) + attention.mix.bias)
torch.testing.assert_close(parts[head], contribution)
print("lengths of what the heads add to opened:", *(f"{part[opened].norm():.2f}" for part in parts))

# %% [markdown]
# ## Several texts at once, and a mask
#
# Computing several texts at once is faster, but texts differ in length. So the shorter ones are filled up with `[PAD]`,
# a token that means nothing, and a **mask** says where the real tokens are. No token may look at padding. A hidden key
# therefore gets the score $-\infty$ *before* the softmax: its share is then exactly zero, and the other keys have all
# of the attention.
#
# Our module takes a batch `(B, S, D)`, which is B texts of S positions, and the mask `(B, S)`:


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


# %% [markdown]
# Is it the same as the package's? To compare, we run the whole model and listen in on its first attention. (A *hook* is
# a function that PyTorch calls with whatever a module returns.)

# %%
ours = OurSelfAttention(D, H)
ours.load_state_dict({name: attention.get_parameter(name) for name, _ in ours.named_parameters()})
heard = {}
hook = attention.register_forward_hook(lambda module, inputs, output: heard.update(theirs=output[0]))
outputs = model(token_ids[None], output_attentions=True)
hook.remove()
one_text = ours(x[None], torch.ones(1, T, dtype=torch.bool))
torch.testing.assert_close(one_text[0], heard["theirs"])
torch.testing.assert_close(output, heard["theirs"])
torch.testing.assert_close(all_weights, outputs.attentions[0][0])

# %% [markdown]
# Now take two texts, one of nine tokens and one of five. The shorter one should come out as if the other were not
# there. Nor should it matter what stands in its padding, so we put large random numbers there.

# %%
mask = torch.tensor([[True] * T, [True] * 5 + [False] * (T - 5)])  # (B, S)
padded = torch.stack([x, x])
padded[1, 5:] = 100 * torch.randn(T - 5, D, generator=torch.Generator().manual_seed(0))
together = ours(padded, mask)  # (B, S, D)
torch.testing.assert_close(together[0], one_text[0])
torch.testing.assert_close(together[1, :5], ours(x[None, :5], mask[:1, :5])[0])
print("hiding keys is the same as not having them")

# %% [markdown]
# `minibert` has this equation twice: written out, as above, and as one call of PyTorch's own (`fused_attention`), which
# is faster because it never stores the table of weights. Both agree with ours, and with `transformers`:

# %%
twice, hidden_last = [matrix[None] for matrix in (query, key, value)], torch.tensor([[True] * (T - 1) + [False]])
explicit, shares = scaled_dot_product_attention(*twice, hidden_last)
torch.testing.assert_close(fused_attention(*twice, hidden_last)[0], explicit)
assert (shares[..., -1] == 0).all()

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    reference = transformers.BertForPreTraining.from_pretrained(local_folder(MODEL), attn_implementation="eager")
    block = reference.float().eval().bert.encoder.layer[0].attention
    expected = block.output.dense(block.self(x[None])[0]).detach()
    torch.testing.assert_close(expected, one_text)
    print("equal to the reference")

# %% [markdown]
# ## Exercises
#
# Write each answer into its cell and run it, as often as you like: `check` says what is wrong. The dots say how hard
# an exercise is. Hints and solutions are folded up.
#
# To be written **from memory**, with the notebook closed: `scaled_dot_product_attention` (●●●, 15 minutes),
# `split_heads` (●○○, 5 minutes), `merge_heads` (●○○, 5 minutes).
# `from minibert.course import task; task("scaled_dot_product_attention")` prints what to write.
#
# ### 1. `attend` (●●○, 6 minutes)
#
# For a single query `(K)` and all keys and values `(T, K)`, return its context `(K)`.
#
# <details><summary>Hint</summary>
#
# The scores are one product of a matrix and a vector. Divide by $\sqrt{K}$, take the softmax, and let the weights mix
# the values.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def attend(q, keys, values):
#     return (keys @ q / math.sqrt(len(q))).softmax(dim=0) @ values
# ```
# </details>


# %%
def attend(q, keys, values):
    pass  # your code


check("attend", attend)

# %% [markdown]
# ### 2. `attention_entropy` (●●○, 8 minutes)
#
# How widely does a query spread its attention? From `weights` `(..., T)` compute the entropy
# $-\sum_j a_{ij} \ln a_{ij}$ of each row `(...)`, where a weight of zero adds zero.
#
# <details><summary>Hint</summary>
#
# $0 \cdot \ln 0$ is not a number to a computer. `torch.where` can put a zero there.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def attention_entropy(weights):
#     return -torch.where(weights > 0, weights * weights.log(), 0.0).sum(dim=-1)
# ```
# </details>


# %%
def attention_entropy(weights):
    pass  # your code


check("attention_entropy", attention_entropy)

# %% [markdown]
# ### 3. `join_heads` (●○○, 4 minutes)
#
# Merge heads *without* a transpose: from `context`, a list of $H$ matrices `(T, K)`, to `(T, D)`.
#
# <details><summary>Hint</summary>
#
# Each token's row begins with the row of head 0, then comes that of head 1.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def join_heads(context):
#     return torch.cat(context, dim=-1)
# ```
# </details>


# %%
def join_heads(context):
    pass  # your code


check("join_heads", join_heads)
