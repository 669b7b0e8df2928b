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
# # 5 · Pretraining data: one paragraph becomes pairs and masks
#
# [中文](zh/5_pretraining_data.ipynb)
#
# > **The question:** where do millions of labelled examples come from, if nobody labels anything?
#
# - **You need** notebook 0, and numpy.
# - **Afterwards you can** turn a text into pairs and masks as the BERT paper does, check the shares, and say why the
#   paper hides 15 % of the tokens, and why our presets, the ready-made settings for pretraining, hide 30 %.
# - **Time:** 30 minutes, and 19 for the exercises.
#
# Notebook 0 gave the answer away: text labels itself. Hide a word, and the word is the label. Put two sentences side by
# side, and the label is whether they stood together in the text. Now we do it in earnest. We follow one paragraph,
# which begins with our sentence, until a batch is ready for the model.
#
# ![From a paragraph to pairs and masks](../docs/images/diagrams/pairs-and-masking.svg)

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
import matplotlib.pyplot as plt
import numpy as np
import torch

from minibert import BertForPreTraining, BertTokenizer
from minibert.course import check
from minibert.labels import IGNORE_INDEX, IS_NEXT, IS_RANDOM
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.masking import example_keys, mask_tokens
from minibert.text.packed import PackedCorpus
from minibert.text.sentences import split_sentences

# %%
about_files = """The file is opened for reading. It is an error if the file does not exist. A file that is opened for
writing is created if necessary. Text is written to a buffer first. Close the file when you are done."""
about_lists = """A list is a mutable sequence. Items may be added and removed at any time. The items of a list need not
be of the same type. Use a tuple for values that do not change."""
documents = [split_sentences(text.replace("\n", " ")) for text in (about_files, about_lists)]
for number, document in enumerate(documents):
    for sentence in document:
        print(f"document {number}: {sentence}")

# %% [markdown]
# ## From sentences to one long row of numbers
#
# Tokenizing is slow, so we do it only once. We keep one long array of token ids, and the places in it where each
# sentence and each document begins. A run of sentences is then simply a stretch of the array:

# %%
MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
corpus = PackedCorpus.from_documents(documents, tokenizer)
print("ids:            ", corpus.ids[:12], f"... {len(corpus.ids)} in all")
print("sentence starts:", corpus.sentence_starts)
print("documents:      ", corpus.documents.tolist(), "(first sentence, and the one after the last)")
first, second = corpus.sentence_starts[:2]
assert tokenizer.decode(corpus.ids[first:second].tolist()) == "the file is opened for reading."

# %% [markdown]
# ## Pairs: next sentence prediction
#
# Many questions are about *two* texts. Does this paragraph answer that question? Does this sentence contradict that
# one? So BERT had to learn how sentences belong together. This is the recipe (Devlin et al. 2019, section 3.1, task 2,
# and the released code). Walk through a document and gather sentences until there are enough. Cut the stretch in two, A
# and B, between two sentences chosen at random. Half of the time, keep both: the label is **0**, B follows A. Otherwise
# take B from a random place in *another* document: the label is **1**. The sentences that B would have had are used
# again.
#
# Here it is with a loop, in the simplest case of one sentence each:

# %%
coin = np.random.default_rng(3)
for number, sentence in enumerate(documents[0][:-1]):
    if coin.random() < 0.5:
        label, other = IS_NEXT, documents[0][number + 1]
    else:
        label, other = IS_RANDOM, coin.choice(documents[1])
    print(f"{label}: {sentence} | {other}")

# %% [markdown]
# One pass over the whole corpus is an **epoch**. The package draws all pairs of an epoch in this way, with more than
# one sentence on each side, and cuts pairs that are too long. A pair is just five numbers: where A and B begin and end
# in the array, and the label. We check every claim:

# %%
dataset = PretrainingDataset(corpus, tokenizer, max_length=40, seed=0)
document_of = np.repeat([0, 1], np.diff(corpus.sentence_starts[[0, len(documents[0]), -1]]))  # of each token
labels, from_same_document = [], []
for epoch in range(300):
    dataset.set_epoch(epoch)
    for a_start, a_end, b_start, b_end, label in dataset.pairs:
        assert a_start < a_end and b_start < b_end and (a_end - a_start) + (b_end - b_start) <= 40 - 3
        labels.append(label)
        from_same_document.append(document_of[a_start] == document_of[b_start])

# %%
is_random, same = np.array(labels) == IS_RANDOM, np.array(from_same_document)
print(f"{len(labels):,} pairs in 300 epochs, {is_random.mean():.0%} of them random")
print(f"consecutive pairs from the same document: {same[~is_random].mean():.0%}")
print(f"random pairs from the same document: {same[is_random].mean():.1%}")
assert same[~is_random].all() and same[is_random].mean() < 0.01
assert 0.5 < is_random.mean() < 0.8

# %% [markdown]
# More than half of the pairs are random, because a last sentence that is left alone has no successor. And why do a few
# random pairs come from the same document? The recipe rolls the dice up to ten times to find another document. With
# only two documents, all ten rolls may hit the same one, and then the recipe takes what it has got.

# %%
dataset.set_epoch(0)
a_start, a_end, b_start, b_end, label = dataset.pairs[0].tolist()
print("A:", tokenizer.decode(corpus.ids[a_start:a_end].tolist()))
print("B:", tokenizer.decode(corpus.ids[b_start:b_end].tolist()))
print("label:", label, "(B follows A)" if label == IS_NEXT else "(B is random)")

# %% [markdown]
# The model reads `[CLS] A [SEP] B [SEP]`, with segment 0 up to the first `[SEP]` and 1 from there on:

# %%
cls, sep = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
a, b = corpus.ids[a_start:a_end].tolist(), corpus.ids[b_start:b_end].tolist()
token_ids = np.array(cls + a + sep + b + sep)
segment_ids = np.array([0] * (len(a) + 2) + [1] * (len(b) + 1))
assert np.array_equal(dataset[0]["token_type_ids"], segment_ids)
print(*tokenizer.convert_ids_to_tokens(token_ids))

# %% [markdown]
# ## Masks: which tokens to hide, and behind what
#
# $$ q = \max\big(1, \mathrm{round}(0.15\, n)\big) \qquad
# P(\texttt{[MASK]}) = 0.8, \quad P(\text{itself}) = 0.1, \quad P(\text{a random token}) = 0.1 $$
#
# (Devlin et al. 2019, section 3.1, task 1; the rounding is that of the released code.)
#
# | symbol | here | meaning |
# | --- | --- | --- |
# | $n$ | `len(token_ids)` | length, `[CLS]` and `[SEP]` counted |
# | $q$ | `quota` | how many tokens are chosen; never `[CLS]` or `[SEP]` |
# | $P$ | | what becomes of a chosen token; the random number `action`, between 0 and 1, decides |
#
# Why not always `[MASK]`? Because the texts that BERT is used on later do not contain it. A model that only ever had to
# think about `[MASK]` could ignore all other tokens. A chosen token that stays, or is replaced by a random one, looks
# like any other. So the model must have an opinion about *every* token.
#
# ### First with a loop
#
# We need three random numbers for each token: one for the order in which tokens are chosen, one for the action, and one
# for the random token. Ours are not drawn one after the other. They are computed from (seed, epoch, example, position)
# by scrambling bits. So the mask is new at every visit, and yet it comes out the same in another batch, in another
# process, or after a crash.


# %%
def scramble(bits: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele, Lea and Flood 2014): 64 bits in, 64 bits out that look random."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def dice(key: np.uint64, count: int, die: int) -> np.ndarray:
    counters = np.arange(count, dtype=np.uint64) * np.uint64(3) + np.uint64(die)
    return (scramble(key + counters * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(11)) * 2.0**-53  # in [0, 1)


# %%
n, key = len(token_ids), example_keys(seed=0, epoch=0, indices=np.array([0]))
order, action, random_token = (dice(key, n, die) for die in range(3))
quota = max(1, round(0.15 * n))
special = set(tokenizer.all_special_ids)
by_order = sorted((position for position in range(n) if token_ids[position] not in special), key=lambda i: order[i])

# %%
inputs, labels = token_ids.copy(), np.full(n, IGNORE_INDEX)
for position in by_order[:quota]:
    labels[position] = token_ids[position]
    if action[position] < 0.8:
        inputs[position] = tokenizer.mask_token_id
    elif action[position] >= 0.9:
        inputs[position] = int(random_token[position] * len(tokenizer))

# %%
example = dataset[0]
assert np.array_equal(example["input_ids"], inputs) and np.array_equal(example["labels"], labels)
for position in np.flatnonzero(labels != IGNORE_INDEX):
    seen, meant = tokenizer.convert_ids_to_tokens([inputs[position], labels[position]])
    print(f"position {position:2}: the model reads {seen}, and should say {meant}")
print(f"{quota} of {n} tokens have a label; all others have {IGNORE_INDEX}, which every loss passes over")

# %% [markdown]
# ### Then for a whole batch
#
# `mask_tokens` does this for all sequences at once. We give it 2,000 rows of 100 tokens, and it chooses exactly 15
# tokens in each. Among these 30,000, chance moves the three shares by less than 0.0025 (one standard deviation), so we
# can check them closely:

# %%
rows, length = 2000, 100
batch = np.random.default_rng(0).integers(5, len(tokenizer), size=(rows, length))
keys = example_keys(seed=1, epoch=0, indices=np.arange(rows))
everything, lengths = np.ones_like(batch, dtype=bool), np.full(rows, length)
sizes = {"mask_token_id": tokenizer.mask_token_id, "vocab_size": len(tokenizer)}
masked, batch_labels = mask_tokens(batch, everything, lengths, keys, **sizes)
chosen = batch_labels != IGNORE_INDEX
became_mask = (masked == tokenizer.mask_token_id)[chosen].mean()
stayed = (masked == batch)[chosen].mean()

# %%
shares = {"[MASK]": became_mask, "itself": stayed, "a random token": 1 - became_mask - stayed}
assert (chosen.sum(axis=1) == 15).all() and (masked == batch)[~chosen].all()
assert all(abs(share - expected) < 0.01 for share, expected in zip(shares.values(), (0.8, 0.1, 0.1), strict=True))
figure, ax = plt.subplots(figsize=(6, 1.8), layout="constrained")
bars = ax.barh(list(shares), list(shares.values()), color="#1b3a5c")
labelled = ax.bar_label(bars, fmt="{:.1%}", padding=3)
ax.set(xlabel="share of the chosen tokens", xlim=(0, 1))
ax.invert_yaxis()

# %% [markdown]
# ### Why 15 %? And why do our presets hide 30 %?
#
# Each hidden token is a question, and questions are what the model learns from. So the more, the better? Not quite:
# each hidden token is also missing from the *context* of the others. With nothing hidden there is nothing to learn, and
# with everything hidden there is nothing to go by. The paper settled on 15 %.
#
# Is that best for us, too? We measured it ([docs/recipe.md](../docs/recipe.md#how-much-to-hide)): a small model, a few
# minutes on two cores, the same time for each rate. This is the loss on text that the model has not seen:
#
# | hidden in training | 15 % | 20 % | 30 % | 40 % |
# | --- | --- | --- | --- | --- |
# | loss on held-out text | 4.552 | 4.489 | 4.485 | 4.472 |
#
# (Each model is tested with 15 % hidden, whatever it was trained with.) A model that has only minutes to learn profits
# from more questions in each sentence; above 20 % the differences are small. So our presets hide 30 %. Functions that
# take a `masking_rate` keep the paper's 15 % as their default, and so does this notebook. Here is what other rates do
# to a text:

# %%
for rate in (0.15, 0.3, 0.4):
    _, labels_at = mask_tokens(batch, everything, lengths, keys, **sizes, rate=rate)
    questions = (labels_at != IGNORE_INDEX).sum(axis=1)
    print(f"{rate:.0%} of {length} tokens: {questions.mean():.0f} questions, {length - questions.mean():.0f} others")
    assert (questions == round(rate * length)).all()

# %% [markdown]
# ### A new mask at every visit
#
# The first BERT drew ten masks for each text beforehand, and saw the same ten again and again. Ours are new in every
# epoch. Each row of the picture is one visit to our pair. The dark tokens were chosen.

# %%
visits = []
maskable = ~np.isin(token_ids, list(special))[None]
for epoch in range(12):
    keys = example_keys(seed=0, epoch=epoch, indices=np.array([0]))
    visits.append(mask_tokens(token_ids[None], maskable, np.array([n]), keys, **sizes)[1][0] != IGNORE_INDEX)
assert len({tuple(visit) for visit in visits}) == 12 and all(visit.sum() == quota for visit in visits)

# %%
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
image = ax.imshow(visits, cmap="Blues", vmax=1.3, aspect="auto")
ax.set(ylabel="epoch", xlabel="token", title="chosen tokens of one pair in twelve epochs")
ax.set_xticks(range(n), tokenizer.convert_ids_to_tokens(token_ids), rotation=90)
ax.set_yticks(range(0, 12, 2))
ax.grid(False)

# %% [markdown]
# ## A batch
#
# Examples differ in length. The *collator* fills up the shorter ones with `[PAD]`, as in notebook 2, and stacks them
# into a batch:

# %%
collate = PretrainingCollator(tokenizer.pad_token_id)
padded = collate([dataset[0], dataset[1]])
for name in ("input_ids", "attention_mask", "token_type_ids", "labels", "next_sentence_label"):
    print(f"{name:20} {tuple(padded[name].shape)}")
assert padded["label_count"] == int((padded["labels"] != IGNORE_INDEX).sum())
assert (padded["labels"][padded["attention_mask"] == 0] == IGNORE_INDEX).all()

# %% [markdown]
# And what would our trained model say to the example above?

# %%
model = BertForPreTraining.from_pretrained(MODEL)
with torch.no_grad():
    outputs = model(**collate([example]))
best = outputs.prediction_logits.softmax(dim=-1).max(dim=-1)
for guess, sure, meant in zip(best.indices, best.values, labels[labels != IGNORE_INDEX], strict=True):
    said, truth = tokenizer.convert_ids_to_tokens([guess.item(), meant])
    print(f"hidden: {truth:8}  the model says: {said} ({sure:.0%})")
follows = outputs.seq_relationship_logits.softmax(dim=-1)[0, IS_NEXT]
print(f"B follows A with {follows:.0%}; the label is {label}")

# %% [markdown]
# ## Exercises
#
# Write each answer into its cell and run it, as often as you like: `check` says what is wrong. The dots say how hard
# an exercise is. Hints and solutions are folded up.
#
# To be written **from memory**, with the notebook closed: `mask_tokens` (●●●, 20 minutes).
# `from minibert.course import task; task("mask_tokens")` prints what to write.
#
# ### 1. `masked_tokens` (●○○, 3 minutes)
#
# How many tokens of a sequence of 512 tokens become `[MASK]`, on average? (`round(0.15 * 512)` are chosen.)
#
# <details><summary>Hint</summary>
#
# Not every chosen token becomes `[MASK]`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# masked_tokens = round(0.15 * 512) * 0.8
# ```
# </details>

# %%
masked_tokens = None  # a number
check("masked_tokens", masked_tokens)

# %% [markdown]
# ### 2. `words_of` (●●○, 8 minutes)
#
# Group pieces into words: `["un", "##open", "file"]` gives `[[0, 1], [2]]`. (Hiding whole words is harder and teaches
# more: `whole_word_masking=True` does it.)
#
# <details><summary>Hint</summary>
#
# A word begins at each token that does not start with `##`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def words_of(tokens):
#     starts = [i for i, token in enumerate(tokens) if not token.startswith("##")]
#     return [list(range(start, end)) for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True)]
# ```
# </details>


# %%
def words_of(tokens):
    pass  # your code


check("words_of", words_of)

# %% [markdown]
# ### 3. `truncate` (●●○, 8 minutes)
#
# Truncate a pair of lists as the released code does: as long as both together have more than `limit` tokens, drop one
# from the longer list (from `b` if they are equally long), here always at its end. Return both.
#
# <details><summary>Hint</summary>
#
# A `while` loop. Copy the lists first (`list(a)`): who called you may need them.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def truncate(a, b, limit):
#     a, b = list(a), list(b)
#     while len(a) + len(b) > limit:
#         (a if len(a) > len(b) else b).pop()
#     return a, b
# ```
# </details>


# %%
def truncate(a, b, limit):
    pass  # your code


check("truncate", truncate)
