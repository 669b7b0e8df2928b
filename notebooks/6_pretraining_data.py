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
# # 6 · Pretraining data: one paragraph becomes pairs and masks
#
# Nobody labelled the text that BERT learnt from. The idea of this notebook: text labels itself. Hide a word, and the
# word is the label. Put two sentences side by side, and whether they stood together in the text is the label. We follow
# one paragraph until a batch is ready for the model. It begins with our sentence.

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
# Tokenizing is slow, so it happens once. What is kept is one long array of token ids, and where each sentence and each
# document begins. A run of sentences is then just a stretch of the array:

# %%
tokenizer = BertTokenizer.from_pretrained("minibert-tiny")
corpus = PackedCorpus.from_documents(documents, tokenizer)
print("ids:            ", corpus.ids[:12], f"... {len(corpus.ids)} in all")
print("sentence starts:", corpus.sentence_starts)
print("documents:      ", corpus.documents.tolist(), "(first sentence, and the one after the last)")
first, second = corpus.sentence_starts[:2]
assert tokenizer.decode(corpus.ids[first:second].tolist()) == "the file is opened for reading."

# %% [markdown]
# ## Pairs: next sentence prediction
#
# Walk through a document. Gather sentences until there are enough. Cut the stretch in two at a random sentence: A and
# B. Half of the time keep them: label **0**, B follows A. Otherwise take B from a random place in *another* document:
# label **1**, and the sentences that B would have had are used again (Devlin et al. 2019, section 3.1, task 2, and the
# released code). With a loop, and for the simplest case, one sentence each:

# %%
coin = np.random.default_rng(3)
for number, sentence in enumerate(documents[0][:-1]):
    if coin.random() < 0.5:
        label, other = IS_NEXT, documents[0][number + 1]
    else:
        label, other = IS_RANDOM, coin.choice(documents[1])
    print(f"{label}: {sentence} | {other}")

# %% [markdown]
# The package draws all pairs of an epoch in this way, with more than one sentence on each side, and cuts what is too
# long. A pair is five numbers: where A and B begin and end in the array, and the label. Every claim can be checked:

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
# More than half of the pairs are random, because a lone last sentence has no successor. And among only two documents
# ten throws of the die may all hit the first one again; then the recipe takes what it got.

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
# Why not always `[MASK]`? Because no text that BERT will ever be used on contains it. A token that stays, or is
# replaced by a random one, forces the model to have an opinion about *every* token, not only about the masked ones.
#
# ### First with a loop
#
# Three dice for each token: one for the order in which tokens are chosen, one for the action, one for the random token.
# Ours are not drawn one after the other, but computed from (seed, epoch, example, position) by scrambling bits. So a
# mask is new at every visit, and yet the same in another batch, in another process, or after a crash.


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
# `mask_tokens` does it for all sequences at once. Of 2,000 rows of 100 tokens, exactly 15 tokens of each are chosen.
# Among these 30,000 the standard deviation of the three shares is below 0.0025; they must come out as they should:

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
bars = ax.barh(list(shares), list(shares.values()), color="grey")
labelled = ax.bar_label(bars, fmt="{:.1%}", padding=3)
ax.set(xlabel="share of the chosen tokens", xlim=(0, 1))
ax.invert_yaxis()

# %% [markdown]
# ### A new mask at every visit
#
# The first BERT drew its masks once, and saw each text with the same ten masks again and again. Ours are new in every
# epoch. Each row of the picture is a visit to our pair; black tokens were chosen.

# %%
visits = []
maskable = ~np.isin(token_ids, list(special))[None]
for epoch in range(12):
    keys = example_keys(seed=0, epoch=epoch, indices=np.array([0]))
    visits.append(mask_tokens(token_ids[None], maskable, np.array([n]), keys, **sizes)[1][0] != IGNORE_INDEX)
assert len({tuple(visit) for visit in visits}) == 12 and all(visit.sum() == quota for visit in visits)

# %%
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
image = ax.imshow(visits, cmap="gray_r", aspect="auto")
ax.set(ylabel="epoch", xlabel="token", title="chosen tokens of one pair in twelve epochs")
ax.set_xticks(range(n), tokenizer.convert_ids_to_tokens(token_ids), rotation=90)
ax.set_yticks(range(0, 12, 2))
ax.grid(False)

# %% [markdown]
# ## A batch
#
# The collator pads the examples of a batch to the longest one. And what would our trained model say to the example
# above?

# %%
collate = PretrainingCollator(tokenizer.pad_token_id)
padded = collate([dataset[0], dataset[1]])
for name in ("input_ids", "attention_mask", "token_type_ids", "labels", "next_sentence_label"):
    print(f"{name:20} {tuple(padded[name].shape)}")
assert padded["label_count"] == int((padded["labels"] != IGNORE_INDEX).sum())
assert (padded["labels"][padded["attention_mask"] == 0] == IGNORE_INDEX).all()

# %%
model = BertForPreTraining.from_pretrained("minibert-tiny")
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
# 1. How many tokens of a sequence of 512 tokens become `[MASK]`, on average? Answer with a number.
# 2. Write a function of `(tokens)` that groups pieces into words: `["un", "##open", "file"]` becomes `[[0, 1], [2]]`.
#    (Hiding whole words is harder, and teaches more: `whole_word_masking=True`.)
# 3. Write a function of `(a, b, limit)` that truncates a pair of lists as the released code does: as long as both
#    together have more than `limit` tokens, drop one from the longer list (from `b` if they are equally long), here
#    always at its end. Return both.

# %%
answers = {
    1: None,  # a number
    2: None,  # a function of (tokens)
    3: None,  # a function of (a, b, limit)
}


# %%
def check_1(answer):
    return abs(answer - 0.8 * round(0.15 * 512)) < 0.3


def check_2(answer):
    words = ["un", "##open", "##able", "file", "##s", "."]
    return [list(word) for word in answer(words)] == [[0, 1, 2], [3, 4], [5]]


# %%
def check_3(answer):
    cases = [([1, 2, 3], [4], 3), ([1, 2], [3, 4], 3), ([1], [2, 3, 4, 5], 2), ([1], [2], 2)]
    expected = [([1, 2], [4]), ([1, 2], [3]), ([1], [2]), ([1], [2])]
    return all(
        tuple(answer(list(a), list(b), limit)) == kept for (a, b, limit), kept in zip(cases, expected, strict=True)
    )


# %%
checks = {1: check_1, 2: check_2, 3: check_3}
for number, answer in answers.items():
    try:
        verdict = "open" if answer is None else "right" if checks[number](answer) else "not yet"
    except Exception as error:  # whatever an answer may do
        verdict = f"not yet: {type(error).__name__}: {error}"
    print(f"exercise {number}:", verdict)


# %% jupyter={"source_hidden": true}
def words_of(tokens):
    starts = [i for i, token in enumerate(tokens) if not token.startswith("##")]
    return [list(range(start, end)) for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True)]


def truncate(a, b, limit):
    while len(a) + len(b) > limit:
        (a if len(a) > len(b) else b).pop()
    return a, b


# %% jupyter={"source_hidden": true}
solutions = {1: 77 * 0.8, 2: words_of, 3: truncate}
assert all(checks[number](solution) for number, solution in solutions.items())
print("all three solutions are right")
