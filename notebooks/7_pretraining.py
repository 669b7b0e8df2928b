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
# # 7 · Pretraining: two losses, and a bend in the curve
#
# [中文](zh/7_pretraining.ipynb)
#
# > **The question:** what does a BERT learn first, what last, and how do you see from a number what it has learned?
#
# - **You need** notebooks 4 to 6.
# - **Afterwards you can** compute both losses by hand, predict two heights of the loss curve before the run starts, and
#   read a real one.
# - **Time:** 35 minutes, and 21 for the exercises. The two training runs take about a minute together.
#
# A loss curve is the one thing that everybody watches during pretraining, and few can say what its heights mean. So we
# first compute both of BERT's losses by hand, for our sentence. Then we watch them fall in a small world where we know
# every probability: a toy language that a BERT learns in seconds. The curve bends at a height that we can compute
# before training starts. We shall see why, and what takes a model past the bend.

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
import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR

from minibert import BertConfig, BertForPreTraining, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course import check
from minibert.labels import IGNORE_INDEX, IS_NEXT, IS_RANDOM
from minibert.model.losses import mlm_loss, nsp_loss

# %%
from minibert.pretraining.initialization import look_at_neighbours
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.packed import PackedCorpus
from minibert.training.optimization import build_optimizer, learning_rate_factor

MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
model = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)
truth = tokenizer("The file is opened for reading.", "It is an error if the file does not exist.", return_tensors="pt")
labels = truth["input_ids"].clone()

# %% [markdown]
# ## The loss of masked language modelling
#
# We hide *opened*, *reading* and *error*. For each of them, the model gives a score $z_v$ to every token of the
# vocabulary, and the softmax turns the scores into probabilities. The loss is the surprise of notebook 0: $-\log$ of
# the probability of the truth. It is 0 if the model was sure and right, and large if it was sure and wrong.
#
# $$ \mathcal L_{\mathrm{MLM}} = \sum_{n \in N} -\log p_n \quad\text{(textbook)} \qquad
# \mathcal L_{\mathrm{MLM}} = \frac{1}{|N|} \sum_{n \in N} -\log p_n \quad\text{(code)}
# \qquad p_n = \frac{e^{z_{n, y_n}}}{\sum_v e^{z_{n, v}}} $$
#
# (Devlin et al. 2019, section 3.1, task 1, and appendix A.2: "the sum of the mean masked LM likelihood and the mean
# next sentence prediction likelihood". With the mean, a learning rate that suits a small batch suits a large one.)
#
# | symbol | here | shape | meaning |
# | --- | --- | --- | --- |
# | $N$ | `hidden` | | the positions that have a label |
# | $z_{n,v}$ | `logits[n, v]` | $(\lvert N\rvert, V)$ | score of token $v$ at position $n$ |
# | $y_n$ | `labels[n]` | | the token that stood there |
# | $p_n$ | `p` | | the probability that the model gives to the truth |

# %%
hidden_words = tokenizer.convert_tokens_to_ids(["opened", "reading", "error"])
hidden = torch.isin(labels, torch.tensor(hidden_words))
labels[~hidden] = IGNORE_INDEX
inputs = dict(truth, input_ids=truth["input_ids"].masked_fill(hidden, tokenizer.mask_token_id))
print(*tokenizer.convert_ids_to_tokens(inputs["input_ids"][0]))
outputs = model(**inputs)

# %%
total = 0.0
for position in hidden[0].nonzero()[:, 0].tolist():
    scores = outputs.prediction_logits[0, position].tolist()  # V numbers
    label = labels[0, position].item()
    p = math.exp(scores[label]) / sum(math.exp(score) for score in scores)
    total += -math.log(p)
    print(f"{tokenizer.convert_ids_to_tokens(label):8} p = {p:.3f}, surprise {-math.log(p):.3f}")
print(f"sum {total:.3f} (textbook), mean {total / 3:.3f} (code)")

# %% [markdown]
# ### The same in two lines, and as in the package

# %%
logits, targets = outputs.prediction_logits[hidden], labels[hidden]  # (3, V), (3,)
by_hand = -logits.log_softmax(dim=-1)[torch.arange(3), targets].mean()
torch.testing.assert_close(by_hand.item(), total / 3, rtol=1e-4, atol=1e-5)
torch.testing.assert_close(mlm_loss(logits, targets), by_hand)
everywhere = mlm_loss(outputs.prediction_logits[0], labels[0])  # positions without a label do not count
torch.testing.assert_close(everywhere, by_hand)
print(f"{by_hand:.3f}: as surprised as by a fair die with {by_hand.exp():.1f} sides (the perplexity)")

# %% [markdown]
# ## The loss of next sentence prediction
#
# Does B follow A? The model gives two scores, one for each class: 0 means that B follows, 1 that B is random. Textbooks
# write a single probability, and $y' = 1$ for "follows". Code writes a softmax over two classes, and $y = 0$ for
# "follows". Both give the same number, because the softmax of two scores is the sigmoid of their difference:
#
# $$ \frac{e^{z_0}}{e^{z_0} + e^{z_1}} = \frac{1}{1 + e^{-(z_0 - z_1)}} = \sigma(z_0 - z_1) \qquad
# \mathcal L_{\mathrm{NSP}} = -y' \log \sigma(z_0 - z_1) - (1 - y') \log\big(1 - \sigma(z_0 - z_1)\big) $$

# %%
scores = outputs.seq_relationship_logits  # (1, 2)
z0, z1 = scores[0].tolist()
p = 1 / (1 + math.exp(-(z0 - z1)))
print(f"B follows A with probability {p:.3f}")
for y, follows in ((IS_NEXT, 1), (IS_RANDOM, 0)):
    textbook = -follows * math.log(p) - (1 - follows) * math.log(1 - p)
    print(f"label {y}: loss {textbook:.3f}")
    torch.testing.assert_close(nsp_loss(scores, torch.tensor([y])).item(), textbook, rtol=1e-4, atol=1e-5)

# %% [markdown]
# Pretraining minimises the sum of the two losses. The reference computes the same sum:

# %%
both = dict(labels=labels, next_sentence_label=torch.tensor([IS_NEXT]))
loss = model(**inputs, **both).loss
torch.testing.assert_close(loss, by_hand + nsp_loss(scores, torch.tensor([IS_NEXT])))
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    reference = transformers.BertForPreTraining.from_pretrained(local_folder(MODEL)).float().eval()
    torch.testing.assert_close(reference(**inputs, **both).loss.detach(), loss)

# %% [markdown]
# ## A language small enough to know everything about
#
# What would a perfect model say? In real text, nobody knows. So we make up a language in which we do. Every document is
# about one thing. Each thing has two verbs, and each verb has two purposes. Two thirds of the sentences begin with an
# extra phrase, so that a word's position alone says little. Our sentence belongs to this language, too:

# %%
verbs = {"file": "opened closed", "list": "sorted copied", "key": "made lost", "page": "printed turned"}
verbs |= {"door": "locked painted", "song": "played sung", "bread": "baked cut", "boat": "built sailed"}
purposes = ["safety", "speed", "sharing", "testing", "saving", "teaching", "guests", "winter", "parties", "fun"]
openings = ["", "", "", "then ", "today ", "so ", "now and then ", "in the morning ", "at the end of the day "]
die = np.random.default_rng(0)
purposes_of = {verb: die.choice(purposes, 2, replace=False) for pair in verbs.values() for verb in pair.split()}
purposes_of["opened"] = np.array(["reading", "writing"])


# %%
def sentence(thing: str) -> str:
    verb = die.choice(verbs[thing].split())
    return f"{die.choice(openings)}the {thing} is {verb} for {die.choice(purposes_of[verb])}."


# %%
documents = [[sentence(thing) for _ in range(die.integers(4, 10))] for thing in die.choice(list(verbs), 800)]
for line in documents[0][:4]:
    print(line)
words = BertTokenizer.train((line for document in documents for line in document), vocab_size=200)
corpus = PackedCorpus.from_documents(documents, words)
dataset = PretrainingDataset(corpus, words, max_length=32, seed=0)
V = len(words)
print(f"{corpus.n_documents} documents, {corpus.n_tokens:,} tokens, vocabulary {V}, {len(dataset):,} pairs an epoch")

# %% [markdown]
# ### What we know before training
#
# A model that knows nothing gives each of the $V$ tokens the same probability, so its loss is $\ln V$. The first thing
# to learn is how *frequent* each token is. A model that knows this, but nothing about the sentence, has a loss called
# the **unigram entropy**:
#
# $$ H = -\sum_v p_v \ln p_v $$
#
# Here $p_v$ is the share of token $v$ in the text (`share`). To get below $H$, a model must use the context, which
# means that its attention must work. The NSP loss begins at $\ln 2$, like the toss of a coin.

# %%
counts = np.bincount(corpus.ids, minlength=V)
share = counts[counts > 0] / counts.sum()
unigram_entropy = -(share * np.log(share)).sum()
print(f"ln V = {math.log(V):.2f}, unigram entropy {unigram_entropy:.2f}, ln 2 = {math.log(2):.2f}")

# %% [markdown]
# ## Training
#
# The loop is the one that notebook 6 ended with: take a batch, compute its loss, clip the gradients, and make a step of
# AdamW. The learning rate rises for a tenth of the run and then falls. `scripts/pretrain.py` does the same, with a
# progress bar and checkpoints, and with Muon, a newer optimizer, for the matrices of the layers
# ([docs/recipe.md](../docs/recipe.md#muon-for-the-matrices)).


# %%
def batches(count: int, size: int = 32):
    collate, epoch, waiting = PretrainingCollator(words.pad_token_id), 0, []
    for _ in range(count):
        if len(waiting) < size:
            dataset.set_epoch(epoch)  # new pairs, new masks
            waiting, epoch = np.random.default_rng(epoch).permutation(len(dataset)).tolist(), epoch + 1
        yield collate(dataset.__getitems__(waiting[:size]))
        waiting = waiting[size:]


# %%
def train(model: BertForPreTraining, steps: int = 400, rate: float = 4e-3) -> np.ndarray:
    optimizer, losses = build_optimizer(model.train().named_parameters(), rate, 0.01, (0.9, 0.98), 1e-8), []
    schedule = LambdaLR(optimizer, lambda step: learning_rate_factor("linear", step / steps, 0.1))
    for batch in batches(steps):
        outputs = model(**batch)
        outputs.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(), schedule.step(), optimizer.zero_grad()
        losses.append([term.item() for term in outputs.loss_terms.values()])
    return np.array(losses)  # (steps, 2): MLM, NSP


# %% [markdown]
# We train two models, which differ only in how they start. One starts from noise, as BERT did. In the other, the heads
# of the first layer start out looking at the tokens to their left and right (`look_at_neighbours`), as you saw in
# notebook 2. It is still a plain BERT, and training may change every one of its parameters. In both, the noise has a
# standard deviation of 0.08. BERT used 0.02, with which models as small as these learn more slowly.

# %%
size = {"vocab_size": V, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256}
size |= {"max_position_embeddings": 32, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
config = BertConfig(**size, initializer_range=0.08, attn_implementation="eager")
runs, trained = {}, {}
for name in ("from noise", "looking at neighbours"):
    torch.manual_seed(0)
    trained[name] = BertForPreTraining(config)
    if name == "looking at neighbours":
        look_at_neighbours(trained[name])
    runs[name] = train(trained[name])


# %%
def smooth(values: np.ndarray, width: int = 15) -> np.ndarray:
    return np.convolve(values, np.ones(width) / width, mode="valid")


def draw(ax, column: int, heights: dict[str, float], title: str) -> None:
    for (name, losses), style, color in zip(runs.items(), ("--", "-"), ("#d98032", "#1b3a5c"), strict=True):
        ax.plot(smooth(losses[:, column]), style, color=color, label=name)
    for name, height in heights.items():
        ax.axhline(height, color="grey", linestyle=":")
        ax.text(len(losses), height, name, ha="right", va="bottom")
    ax.set(xlabel="step", ylabel="loss", title=title, ylim=(0, 1.15 * max(heights.values())))


# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
draw(left, 0, {"ln V": math.log(V), "unigram entropy": unigram_entropy}, "words (MLM)")
draw(right, 1, {"ln 2": math.log(2)}, "sentence pairs (NSP)")
legend = left.legend(loc="upper right", bbox_to_anchor=(1, 0.84))

# %% [markdown]
# Follow the dashed line. It falls fast, and then it **bends**, close to the unigram entropy. By then the model knows
# how frequent words are, but its heads look everywhere and nowhere. It makes progress only when a head happens to look
# a little more in a useful direction than in others, and is rewarded for it. In this tiny language, the bend lasts for
# a few dozen steps. With a real vocabulary and real sentences it becomes a **plateau**, on which a small model sits for
# minutes or hours (`docs/recipe.md` has measurements).
#
# The other model passes the same height in about half as many steps, because its heads already look at neighbours. NSP
# comes last: only a model that knows the words can tell which sentences belong together.

# %%
noise, near = runs["from noise"][:, 0], runs["looking at neighbours"][:, 0]
# A little below the entropy: one in ten chosen tokens stays to be read, and positions tell a little.
at_bend = [int((abs(smooth(run) - (unigram_entropy - 0.2)) < 0.3).sum()) for run in (noise, near)]
print(f"steps close to the unigram entropy: {at_bend[0]} from noise, {at_bend[1]} looking at neighbours")
assert at_bend[0] > 1.5 * at_bend[1]
assert near[-30:].mean() < noise[-30:].mean() - 0.25
assert runs["looking at neighbours"][-30:, 1].mean() < runs["from noise"][-30:, 1].mean() - 0.1
for name, losses in runs.items():
    print(f"{name:22} ends at MLM {losses[-30:, 0].mean():.2f}, NSP {losses[-30:, 1].mean():.2f}")

# %% [markdown]
# ### Does it know what is true?
#
# In this language we know the right probabilities. What follows *opened for*? Reading half of the time, and writing the
# other half. A perfect model would say exactly that, and could not do better.


# %%
def probabilities(model: BertForPreTraining, text: str) -> torch.Tensor:
    # A pair, as in training. A is about files, too, but does not say what becomes of an opened one.
    before = " ".join(f"today the file is closed for {purpose}." for purpose in purposes_of["closed"])
    inputs = words(before, text, return_tensors="pt")
    with torch.no_grad():
        logits = model.eval()(**inputs).prediction_logits
    return logits[inputs["input_ids"] == words.mask_token_id][0].softmax(dim=-1)  # (V,)


# %%
questions = [("the file is opened for [MASK].", "reading", 0.5), ("the file is opened for [MASK].", "writing", 0.5)]
questions += [("the file is [MASK] for reading.", "opened", 1.0), ("the file is [MASK] for reading.", "closed", 0.0)]
for text, word, right in questions:
    said = [probabilities(model, text)[words.convert_tokens_to_ids(word)].item() for model in trained.values()]
    print(f"{text:32} {word:8} truth {right:.0%}, from noise {said[0]:.0%}, looking at neighbours {said[1]:.0%}")
    assert said[1] < 0.35 if right == 0 else said[1] > 0.2

# %% [markdown]
# ## Exercises
#
# Write each answer into its cell and run it, as often as you like: `check` says what is wrong. The dots say how hard
# an exercise is. Hints and solutions are folded up.
#
# ### 1. `clueless_loss` (●○○, 3 minutes)
#
# What is the loss of a model of 30,522 tokens (the vocabulary of BERT-base) that knows nothing?
#
# <details><summary>Hint</summary>
#
# It gives each token the same probability, and the loss is minus the natural logarithm of it.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# clueless_loss = math.log(30_522)
# ```
# </details>

# %%
clueless_loss = None  # a number
check("clueless_loss", clueless_loss)

# %% [markdown]
# ### 2. `sigmoid_loss` (●●●, 12 minutes)
#
# Return the NSP loss of one pair with the sigmoid, $-\ln \sigma(z_0 - z_1)$ if `is_next` is 1, and
# $-\ln \sigma(z_1 - z_0)$ if it is 0. Two scores of 1,000 must not break it: `math.exp(1000)` does not fit into a
# number.
#
# <details><summary>Hint</summary>
#
# $-\ln \sigma(d) = \ln(1 + e^{-d})$. For a negative $d$, take $-d$ out of it: $-d + \ln(1 + e^{d})$.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def sigmoid_loss(z0, z1, is_next):
#     difference = z0 - z1 if is_next else z1 - z0
#     return max(0.0, -difference) + math.log1p(math.exp(-abs(difference)))  # -log sigmoid(difference), kept in range
# ```
# </details>


# %%
def sigmoid_loss(z0, z1, is_next):
    pass  # your code


check("sigmoid_loss", sigmoid_loss)

# %% [markdown]
# ### 3. `unigram_entropy_of` (●●○, 6 minutes)
#
# Return the unigram entropy of a list of tokens, $-\sum_w p_w \ln p_w$.
#
# <details><summary>Hint</summary>
#
# $p_w$ is how often a token occurs, divided by the length of the list. `set(ids)` has each one once.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def unigram_entropy_of(ids):
#     shares = [ids.count(token) / len(ids) for token in set(ids)]
#     return -sum(share * math.log(share) for share in shares)
# ```
# </details>


# %%
def unigram_entropy_of(ids):
    pass  # your code


check("unigram_entropy_of", unigram_entropy_of)
