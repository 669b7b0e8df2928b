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
# # 0 · Why BERT: a blank, and the words on both sides of it
#
# [中文](zh/0_why.ipynb)
#
# > **The question:** what was BERT built for, and what did it change?
#
# - **You need** some Python. No mathematics beyond a logarithm, and no deep learning.
# - **Afterwards you can** say what the four letters stand for, why reading from both sides matters, how a model learns
#   from text that nobody has labelled, and what `[CLS]`, `[SEP]` and `[MASK]` are for.
# - **Time:** 20 minutes, and 12 for the exercises.
#
# BERT is a program that reads. Its name is short for *Bidirectional Encoder Representations from Transformers*, and by
# the end of this notebook each of these words will mean something to you. By the end of notebook 4 you will have built
# a BERT by hand, loaded trained parameters into it, and watched it complete this sentence, which the whole course
# follows:
#
# > **The file is opened for reading.**
#
# Every claim on the way is *asserted*: if a cell finishes without an error, what it says is true. Everything runs
# offline, on two small BERTs that come with the package.

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
import torch
import torch.nn.functional as F
from torch import Tensor

from minibert import BertForPreTraining, BertForSequenceClassification, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course import check

MODEL = "minibert-english"  # has read novels; a better English model may be named here, with other outputs below
tokenizer = BertTokenizer.from_pretrained(MODEL)
model = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)

# %% [markdown]
# ## Fill in the blank yourself
#
# Read this from left to right, and say the first word that comes to mind:
#
# > She ______
#
# Hard? *Was*, *said*, *laughed*, *slept*: nearly anything will do. Now read on:
#
# > She ______ the door and went in.
#
# That was easy. Neither the blank nor the word before it has changed. It was the words *after* the blank that helped.
# Write down your guess before you look at the model's:

# %%
your_guess = "opened"

# %% [markdown]
# ## Then let the model do it
#
# A BERT fills in blanks. It was trained to do little else. It reads text as a row of **tokens**, which are words, parts
# of words and punctuation, and it knows a fixed list of them, its **vocabulary**. The blank is a token of its own,
# `[MASK]`, and the model gives each token of the vocabulary a probability of being the one that belongs there. First we
# blank out everything after *She*, so that only the left side is there to read. Then we give the right side back.
#
# You need not understand every line of code here: the next notebooks build all of it. Three words will do for now. A
# *tensor* is PyTorch's array of numbers, and a comment such as `(V,)` gives its shape. *Logits* are the raw scores that
# the model gives, one for each token. The *softmax* turns scores into probabilities that add up to one.


# %%
def fill(text: str, tokenizer: BertTokenizer = tokenizer, model: BertForPreTraining = model) -> Tensor:
    """The probability of each token of the vocabulary at the first blank."""
    inputs = tokenizer(text, return_tensors="pt")
    first_blank = inputs["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    return model(**inputs).prediction_logits[0, first_blank].softmax(dim=-1)  # (V,)


left_only = fill("She [MASK] [MASK] [MASK] [MASK] [MASK] [MASK].")
both_sides = fill("She [MASK] the door and went in.")

# %%
opened = tokenizer.convert_tokens_to_ids("opened")
yours = tokenizer.convert_tokens_to_ids(your_guess)
for name, p in (("left side only", left_only), ("both sides", both_sides)):
    best = p.topk(4)
    words = zip(tokenizer.convert_ids_to_tokens(best.indices), best.values, strict=True)
    print(f"{name:15}", ", ".join(f"{word} {share:.0%}" for word, share in words))
    print(f"{'':15} your guess, {your_guess}: {p[yours]:.1%}")
assert both_sides.argmax() == opened and both_sides[opened] > 20 * left_only[opened]

# %% [markdown]
# How good is a guess? We measure how **surprised** the model is by the truth. If it gave the right word the probability
# $p$, its surprise is $-\log_2 p$ bits. A model that is certain, and right, is surprised by 0 bits. A model that knows
# nothing gives each of the 12,288 tokens the same chance and is surprised by $\log_2 12288 = 13.6$ bits. All of BERT's
# training has one aim: to be surprised less (notebook 7).

# %%
surprise = {"knows nothing": torch.tensor(1 / len(tokenizer))} | {"left side only": left_only[opened]}
surprise = {name: -p.log2().item() for name, p in (surprise | {"both sides": both_sides[opened]}).items()}
figure, ax = plt.subplots(figsize=(6, 1.8), layout="constrained")
bars = ax.barh(list(surprise), list(surprise.values()), color=["lightgrey", "#d98032", "#1b3a5c"])
labelled = ax.bar_label(bars, fmt="%.1f", padding=3)
ax.set(xlabel="surprise at “opened”, in bits", xlim=(0, 15))
ax.invert_yaxis()
assert abs(surprise["knows nothing"] - 13.6) < 0.05 and surprise["both sides"] < surprise["left side only"] - 4

# %% [markdown]
# ### A model knows what it has read
#
# Where did it learn that? `minibert-english` has read 77 novels and other old books, in which people open doors. They
# hardly ever open files. For that you need somebody who has read something else: `minibert-tiny`, a still smaller BERT,
# has read Python's documentation. Both are asked about the sentence that this course follows:

# %%
TINY = "minibert-tiny"
tiny = BertTokenizer.from_pretrained(TINY), BertForPreTraining.from_pretrained(TINY)
for name, reader in (("has read novels", (tokenizer, model)), ("has read about Python", tiny)):
    p = fill("The file is [MASK] for reading.", *reader)
    words = zip(reader[0].convert_ids_to_tokens(p.topk(4).indices), p.topk(4).values, strict=True)
    print(f"{name:21}", ", ".join(f"{word} {share:.0%}" for word, share in words))
assert p.argmax() == tiny[0].convert_tokens_to_ids("opened")

# %% [markdown]
# So the next notebooks look inside the smaller one. It is small enough to follow every number, and this sentence
# belongs to its world.
#
# ## What came before
#
# In 2018 there were two ways to turn text into numbers that a program can learn from.
#
# **Fixed word vectors** (word2vec, GloVe) give each word one list of numbers, learned from the company that the word
# keeps. But one word is one vector, whatever the sentence. *She left the house* and *her left hand* share a vector.
#
# **Language models** read from left to right and predict the next word (GPT, in the summer of 2018). Their vectors
# depend on the sentence, but only on the part that came before. ELMo put two such readers side by side, one from each
# end. Neither of them saw the whole sentence.
#
# Why did nobody simply read both sides at once? Because a model that sees the whole sentence also sees the answer.
# BERT's way out is simple: **hide some words, and predict only those.**
#
# $$ \underbrace{p(w_t \mid w_1, \ldots, w_{t-1})}_{\text{left to right}} \qquad\qquad
# \underbrace{p(w_t \mid w_1, \ldots, w_{t-1}, \texttt{[MASK]}, w_{t+1}, \ldots, w_T)}_{\text{BERT}} $$
#
# (Devlin et al. 2019, section 3.1, task 1.)
#
# | symbol | here | meaning |
# | --- | --- | --- |
# | $w_t$ | `opened` | the token at position $t$ |
# | $T$ | | how many tokens the text has |
# | $p(\cdot \mid \cdot)$ | `both_sides[opened]` | the probability of a token, given all that the model reads |
#
# ### One word, several vectors
#
# Numbers show the difference. We take the word *left* in three sentences, twice as a verb and once as the side of a
# body, and compare its vectors. The measure is the cosine of the angle between them: 1 means the same direction. First
# come the vectors that are looked up for each word, and then those that come out of BERT.

# %%
senses = ["She left the house.", "They left the town.", "She raised her left hand."]
looked_up, understood = [], []
for text in senses:
    inputs = tokenizer(text, return_tensors="pt")
    place = inputs.tokens().index("left")
    looked_up.append(model.bert.embeddings.word.weight[inputs["input_ids"][0, place]])
    understood.append(model.bert(**inputs).last_hidden_state[0, place])

# %%
for name, vectors in (("looked up", looked_up), ("out of BERT", understood)):
    a, b, other = F.normalize(torch.stack(vectors), dim=1)
    print(f"{name:11}: same sense {a @ b:.2f}, other sense {a @ other:.2f} and {b @ other:.2f}")
torch.testing.assert_close(looked_up[0], looked_up[2])
a, b, other = F.normalize(torch.stack(understood), dim=1)
assert a @ b > 0.2 + max(a @ other, b @ other)

# %% [markdown]
# A looked-up vector cannot tell the three sentences apart. BERT's vectors can, because each token has looked at the
# others. How a token looks is **attention** (notebook 2), and what it does with what it saw is the **encoder layer**
# (notebook 3).
#
# Now the four letters make sense:
#
# | | | |
# | --- | --- | --- |
# | **B** | Bidirectional | each token sees both sides |
# | **E** | Encoder | it reads and does not write: text goes in, vectors come out |
# | **R** | Representations | the vectors, one for each token |
# | **T** | from Transformers | the network of Vaswani et al. 2017, built from attention |
#
# ## Text labels itself
#
# A model needs millions of examples to learn from, and somebody has to write down the right answers. Yet nobody sat
# down and labelled the 3.3 billion words that BERT learned from. The trick: hide a word, and the word is the label.
# This is **masked language modelling** (MLM).
#
# The first BERT learned from a second puzzle, too. It was given two sentences, A and B, and had to say whether B really
# came after A. This is **next sentence prediction** (NSP). Half of the time, B came from somewhere else.
#
# For both puzzles, a text needs marks that are not words:
#
# - `[MASK]` is the blank.
# - `[SEP]` says where a sentence ends, so that A and B do not run together.
# - `[CLS]` stands in front of everything. It is not a word, so its vector is free to stand for the *whole* text. This
#   is where the answer to "does B follow A?" is read off, and later the answer to any other question about a whole
#   text: is this review kind? Is this mail spam?

# %%
sentence = "She opened the letter."
followers = ["It was from her brother.", "The sea was very calm."]
for other in followers:
    pair = tokenizer(sentence, other, return_tensors="pt")
    follows = model(**pair).seq_relationship_logits.softmax(dim=-1)[0, 0]  # 0: B follows A
    print(*pair.tokens())
    print(f"    B follows A with probability {follows:.0%}")

# %%
probability = [model(**tokenizer(sentence, other, return_tensors="pt")).seq_relationship_logits for other in followers]
probability = torch.cat(probability).softmax(dim=-1)[:, 0]
assert probability[0] > 0.5 > probability[1]

# %% [markdown]
# ## Pretrain once, fine-tune often
#
# Filling in blanks is a game that nobody needs. But to play it well, a model must learn grammar, meaning and a good
# deal about the world. That takes days on many machines, and it is done once. Then you take off the part that fills in
# blanks, the **head**, and put a small new one on the same body: for spam, for names, for questions. The new head needs
# minutes, and a few hundred labelled examples instead of millions. This is what made BERT famous.
#
# ![Pretraining is done once, fine-tuning for every task](../docs/images/diagrams/pretrain-finetune.svg)
#
# How small is the new part? Let us count parameters, the numbers that are learned.

# %%
classifier = BertForSequenceClassification.from_pretrained(MODEL, num_labels=2)
body = sum(parameter.numel() for parameter in classifier.bert.parameters())
head = sum(parameter.numel() for parameter in classifier.classifier.parameters())
print(f"the body: {body:,} parameters, pretrained; the new head: {head} parameters, to be learned")
assert torch.equal(classifier.bert.embeddings.word.weight, model.bert.embeddings.word.weight)  # what was learned stays
assert head == 2 * 256 + 2

# %% [markdown]
# In the year it appeared, BERT set new records on eleven tasks (Devlin et al. 2019, section 4), all of them with the
# same body and a thin new head. Today's search engines and embedding models still work this way.
#
# ## The whole in one picture
#
# ![The architecture of BERT, from token ids to the two heads](../docs/images/diagrams/architecture.svg)
#
# ```
#   [CLS]  the   file    is  [MASK]  for  reading   .   [SEP]      the text, in tokens
#     │     │     │      │     │      │      │      │     │
#   ┌─┴─────┴─────┴──────┴─────┴──────┴──────┴──────┴─────┴─┐
#   │  embeddings: word + segment + position                │      notebook 1
#   ├───────────────────────────────────────────────────────┤
#   │  attention: every token looks at every other one      │ ×L   notebook 2
#   │  feed-forward: every token thinks about what it saw   │      notebook 3
#   └─┬─────┬─────┬──────┬─────┬──────┬──────┬──────┬─────┬─┘
#     │                        │
#   pooler                  MLM head                               notebook 4
#   “does B follow A?”      “opened”
# ```
#
# Notebooks 1 to 3 build the body, part by part. Notebook 4 puts it together: a whole **BERT on one page**. Then we
# watch it learn: where the puzzles come from (5), how a surprise becomes a better model (6), and a pretraining run that
# finishes in seconds (7). Notebook 8 fine-tunes. Notebook 9 looks inside and asks what pictures of attention prove.
# Appendices A to C are about engineering: files, equality to the last bit, and speed.
#
# One last check: is this really BERT? The cell below asks `transformers`, the library that most of the world uses, for
# its answer. If it is not installed, the cell says that it has checked nothing.

# %%
inputs = tokenizer("She [MASK] the door and went in.", return_tensors="pt")
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    reference = transformers.BertForPreTraining.from_pretrained(local_folder(MODEL)).float().eval()
    expected = reference(**inputs).prediction_logits.detach()
    assert torch.equal(model(**inputs).prediction_logits, expected)
    print("the reference gives the same scores, to the last bit")

# %% [markdown]
# ## Exercises
#
# Write each answer into its cell and run it, as often as you like: `check` says what is wrong. The dots say how hard
# an exercise is. Hints and solutions are folded up.
#
# ### 1. `bits` (●○○, 2 minutes)
#
# A model gives the right word a probability of 1/64. By how many bits is it surprised?
#
# <details><summary>Hint</summary>
#
# How often must 1 be halved until it is 1/64?
# </details>
# <details><summary>Solution</summary>
#
# ```python
# bits = 6
# ```
# </details>

# %%
bits = None  # a number
check("bits", bits)

# %% [markdown]
# ### 2. `mark` (●○○, 4 minutes)
#
# Put the marks into two lists of tokens, and return one list: `[CLS]`, the tokens of `a`, `[SEP]`, the tokens of `b`,
# `[SEP]`.
#
# <details><summary>Hint</summary>
#
# Lists are added with `+`, or put into another one with a star: `[1, *others]`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def mark(a, b):
#     return ["[CLS]", *a, "[SEP]", *b, "[SEP]"]
# ```
# </details>


# %%
def mark(a, b):
    pass  # your code


check("mark", mark)

# %% [markdown]
# ### 3. `hide` (●●○, 6 minutes)
#
# Hide the first occurrence of a word in a text: *The file is opened* and *file* give *The [MASK] is opened*. Words are
# separated by spaces. *profile* is another word than *file*.
#
# <details><summary>Hint</summary>
#
# `text.split(" ")` gives a list of words, and a list has the method `index`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def hide(text, word):
#     words = text.split(" ")
#     words[words.index(word)] = "[MASK]"
#     return " ".join(words)
# ```
# </details>


# %%
def hide(text, word):
    pass  # your code


check("hide", hide)
