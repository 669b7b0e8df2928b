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
# # 1 · Embeddings: a token is the sum of three look-ups
#
# [中文](zh/1_embeddings.ipynb)
#
# > **The question:** how does text become numbers that a network can compute with, and how do these numbers say *where*
# > a word stands?
#
# - **You need** notebook 0, and tensors: if `table[3]` and `a @ b` look familiar, you are ready.
# - **Afterwards you can** split text into word pieces, look up and add the three vectors of a token, normalise the sum,
#   and show that your module equals the package's to the last bit.
# - **Time:** 25 minutes, and 22 for the exercises.
#
# This notebook builds the bottom floor of the picture in notebook 0. As in all the notebooks that follow, we compute
# each thing first with a loop, then with matrices, and then as a module. Then we *assert* that the result is what
# `minibert` computes. Here is our sentence again:
#
# > **The file is opened for reading.**

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
from torch import Tensor, nn

from minibert import BertForPreTraining, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course import check

MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
model = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)

# %% [markdown]
# ## From text to numbers
#
# A network computes with numbers, not letters. So the text is cut into **tokens**, and each token is replaced by its
# number in a list of 8,192 tokens, the **vocabulary**. `[CLS]` opens every text, and `[SEP]` closes every sentence.

# %%
sentence = "The file is opened for reading."
tokens = tokenizer.tokenize(sentence, add_special_tokens=True)
token_ids = torch.tensor(tokenizer.convert_tokens_to_ids(tokens))  # (T,)
for position, (token, token_id) in enumerate(zip(tokens, token_ids.tolist(), strict=True)):
    print(f"position {position}: {token:8} → {token_id:4}")

# %% [markdown]
# What about a word that is not in the list? A vocabulary of all words would never be complete, and one of letters would
# make sequences long and meaningless. BERT takes the middle way: frequent words are kept whole, and rare ones are
# spelled in **word pieces**. `##` marks a piece that continues a word. Chinese is written without spaces, so each of
# its characters is a token of its own.
#
# Which pieces exist is learned from a corpus. Start from single characters, join the pair of neighbours that occurs
# most often, and repeat. Even a single sentence is enough to learn a vocabulary from:

# %%
print(tokenizer.tokenize("An unopenable file is unusable."))
chinese = "打开文件以便读取。"  # "The file is opened for reading."
little = BertTokenizer.train([chinese], vocab_size=30, min_frequency=1)
print(little.tokenize(chinese))
assert little.tokenize(chinese) == list(chinese)

# %% [markdown]
# ## Three look-ups
#
# The number of a token is only a name: token 248 is not twice token 124. What a token *means* should be something that
# the model can learn and adjust. So each token of the vocabulary gets a **vector**, a row of $D$ learned numbers in a
# table.
#
# A vector for the word is not enough. *The dog bites the man* and *the man bites the dog* have the same words. So a
# second table has a vector for each **position**, and a third one says in which **segment** the token stands, sentence
# A or B. The three vectors are added, and the sum is normalised:
#
# ![A token's vector is the sum of three](../docs/images/diagrams/embedding-sum.svg)
#
# $$ e_t = W_{w_t} + G_{s_t} + P_t $$
#
# $$ x_t = \gamma \odot \frac{e_t - \mu_t}{\sqrt{\sigma_t^2 + \epsilon}} + \beta $$
#
# (Devlin et al. 2019, section 3 and figure 2; LayerNorm: Ba, Kiros and Hinton 2016, equation 4. It is not in the BERT
# paper, but it is in the code.)
#
# | symbol | here | shape | meaning |
# | --- | --- | --- | --- |
# | $t$ | `position` | | 0 to $T-1$, in a text of $T$ tokens |
# | $w_t$ | `token_ids[position]` | | number of the token |
# | $s_t$ | `segment_ids[position]` | | 0 in sentence A, 1 in sentence B |
# | $W$ | `word` | $(V, D)$ | word table, a row for each of the $V$ tokens of the vocabulary |
# | $G$ | `segment` | $(2, D)$ | segment table |
# | $P$ | `position_table` | $(M, D)$ | position table, for texts of at most $M$ tokens |
# | $\mu_t, \sigma_t^2$ | `mean`, `variance` | | of the $D$ numbers of $e_t$ |
# | $\gamma, \beta$ | `norm.weight`, `norm.bias` | $(D)$ | learned scale and shift; $\odot$: number by number |
# | $\epsilon$ | `norm.eps` | | $10^{-12}$, against division by zero |

# %%
embeddings = model.bert.embeddings
word, segment, position_table = embeddings.word.weight, embeddings.segment.weight, embeddings.position.weight
for name, table in (("word", word), ("segment", segment), ("position", position_table)):
    print(f"{name:8} table: {table.shape[0]:5,} rows of {table.shape[1]} numbers")
segment_ids = torch.zeros_like(token_ids)  # one sentence: all of it is A
T, D = len(tokens), word.shape[1]

# %% [markdown]
# ### First with a loop
#
# This is nothing but addition, one number at a time:

# %%
summed = torch.empty(T, D)
for position in range(T):
    for d in range(D):
        w, s = token_ids[position], segment_ids[position]
        summed[position, d] = word[w, d] + segment[s, d] + position_table[position, d]
print("file, the first six of its 128 numbers:", *(f"{number:6.3f}" for number in summed[2, :6]))

# %% [markdown]
# Here are the three addends and their sum as pictures. Each row is a token, and each column is one of the first 48 of
# the 128 dimensions. White is zero, red is positive and blue is negative.

# %%
addends = {"word": word[token_ids], "segment": segment[segment_ids], "position": position_table[:T], "sum": summed}
figure, axes = plt.subplots(2, 2, figsize=(9, 4.4), sharex=True, sharey=True, layout="constrained")
for ax, (name, matrix) in zip(axes.flat, addends.items(), strict=True):
    image = ax.imshow(matrix[:, :48].numpy(), cmap="RdBu_r", vmin=-0.6, vmax=0.6, aspect="auto")
    ax.set(title=name, yticks=range(T), yticklabels=tokens)
for ax in axes[1]:
    ax.set_xlabel("dimension")
bar = figure.colorbar(image, ax=axes, label="value")

# %% [markdown]
# Every row of *segment* is the same, because all tokens are in sentence A. In *position* you can see waves that drift
# to the right, so that neighbouring positions look alike. The next notebook makes use of that.
#
# Where does this order come from? Our training gives it a head start. The position table begins as sines and cosines in
# the first 32 dimensions, and the word table as counts of which words occur near each other in the rest. The first BERT
# began with noise, and had to find such an order by itself.
#
# ### Then with matrices
#
# A look-up is a matrix product in disguise. Write the token's number as a row of zeros with a single one (**one-hot**),
# and the product with the table picks out that row. Nobody computes it this way, because almost all of the work would
# be multiplying by zero. But it shows that a look-up is linear, and therefore how training reaches the table: a row is
# changed only by the tokens that used it (notebook 6 shows how training changes numbers).

# %%
one_hot = F.one_hot(token_ids, num_classes=len(word)).float()  # (T, V)
looked_up = one_hot @ word  # (T, V) @ (V, D) -> (T, D)
assert torch.equal(looked_up, word[token_ids])
assert torch.equal(looked_up + segment[segment_ids] + position_table[:T], summed)
print(f"{tuple(one_hot.shape)} @ {tuple(word.shape)} = {tuple(looked_up.shape)}, the same bits as the look-up")

# %% [markdown]
# ### LayerNorm
#
# The sum can be of any size, and a stack of layers would make large vectors larger still. LayerNorm keeps them in
# range. It takes each token on its own and gives its numbers mean 0 and variance 1. Then it applies a learned scale and
# shift to each dimension. The variance divides by $D$, not by $D-1$.

# %%
norm = embeddings.norm
mean = summed.mean(dim=1, keepdim=True)  # (T, 1)
variance = ((summed - mean) ** 2).mean(dim=1, keepdim=True)
x = (summed - mean) / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias
for token, before, after in zip(tokens, summed, x, strict=True):
    print(f"{token:8} length before {before.norm():5.2f}, after {after.norm():5.2f}")
torch.testing.assert_close(x, norm(summed))

# %% [markdown]
# ### Then as a module
#
# A module keeps the tables together with the code that uses them. One thing is new: **dropout**. In training it sets a
# random tenth of the numbers to zero, so that the model cannot rely on any single one. Outside of training it does
# nothing.


# %%
class OurEmbeddings(nn.Module):
    def __init__(self, vocabulary: int, segments: int, positions: int, hidden: int):
        super().__init__()
        self.word, self.segment = nn.Embedding(vocabulary, hidden), nn.Embedding(segments, hidden)
        self.position = nn.Embedding(positions, hidden)
        self.norm, self.dropout = nn.LayerNorm(hidden, eps=1e-12), nn.Dropout(0.1)

    def forward(self, token_ids: Tensor, segment_ids: Tensor) -> Tensor:
        positions = torch.arange(len(token_ids))
        return self.dropout(self.norm(self.word(token_ids) + self.segment(segment_ids) + self.position(positions)))


# %% [markdown]
# It has the same parts under the same names as the package's, so it can take over the package's parameters. Then it
# gives the same result, to the last bit:

# %%
ours = OurEmbeddings(len(word), len(segment), len(position_table), D).eval()
ours.load_state_dict({name: embeddings.get_parameter(name) for name, _ in ours.named_parameters()})
theirs = embeddings(token_ids, segment_ids, torch.arange(T))
assert torch.equal(ours(token_ids, segment_ids), theirs)
torch.testing.assert_close(x, theirs)
print("equal to minibert.model.embeddings.Embeddings")

# %% [markdown]
# And `minibert`'s result equals that of `transformers`. This cell needs `transformers`, which comes with the extra
# `test`. Without it, the cell says that it has checked nothing.

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    reference = transformers.BertForPreTraining.from_pretrained(local_folder(MODEL)).float().eval()
    expected = reference.bert.embeddings(token_ids[None], segment_ids[None])[0]
    assert torch.equal(theirs, expected)
    print("equal to the reference, to the last bit")

# %% [markdown]
# ## What the three are for
#
# Without positions a sentence would be a bag of words: shuffle the tokens, and you get the same vectors, shuffled. How
# alike are the position vectors? The picture shows the cosine of the angle between any two of the first 24. What they
# all have in common, their mean, is taken off first.

# %%
directions = F.normalize(position_table[:24] - position_table[:24].mean(dim=0), dim=1)
figure, ax = plt.subplots(figsize=(4.4, 3.4), layout="constrained")
image = ax.imshow((directions @ directions.T).numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
ax.set(xlabel="position", ylabel="position", title="near positions look alike")
bar = figure.colorbar(image, label="cosine similarity")

# %% [markdown]
# And the word vectors? Words that keep the same company have similar vectors. In part, that was so before any training,
# because ours start from counts of which words keep company. Nobody told the model what a file is. It has only counted
# and read.


# %%
def nearest(vector: Tensor, table: Tensor, k: int, without: tuple[str, ...] = ()) -> list[str]:
    similarity = F.normalize(table, dim=1) @ F.normalize(vector, dim=0)  # (V,)
    order = tokenizer.convert_ids_to_tokens(similarity.argsort(descending=True)[: k + len(without)].tolist())
    return [token for token in order if token not in without][:k]


words = ["file", "opened", "reading", "read", "write"]
vectors = {token: word[tokenizer.convert_tokens_to_ids(token)] for token in words}
for token in ("file", "opened", "reading"):
    print(f"{token:8} is near", ", ".join(nearest(vectors[token], word, 5, without=(token,))))

# %% [markdown]
# ### Arithmetic with words, and a catch
#
# You may have heard that *king − man + woman = queen*. Our model has read about files, not about kings, so we ask:
# *reading − read + write = ?*

# %%
result = vectors["reading"] - vectors["read"] + vectors["write"]
print("all tokens:                  ", ", ".join(nearest(result, word, 4)))
print("without those of the question:", ", ".join(nearest(result, word, 4, ("reading", "read", "write"))))
assert nearest(result, word, 1) == ["write"]
assert nearest(result, word, 1, ("reading", "read", "write")) == ["writing"]

# %% [markdown]
# The nearest vector of all is *write*, one of the words that we put in. *Writing* wins only if the three words of the
# question are left out. The famous result is computed in the same way, though this is rarely said. So does the answer
# come from the similarity of the words alone, or is there a direction that means *-ing*? If there is one, it should be
# much the same for other verbs:

# %%
pairs = [("read", "reading"), ("write", "writing"), ("open", "opening"), ("use", "using"), ("call", "calling")]
pairs = [pair for pair in pairs if tokenizer.unk_token_id not in tokenizer.convert_tokens_to_ids(list(pair))]
steps = [word[end] - word[start] for start, end in map(tokenizer.convert_tokens_to_ids, map(list, pairs))]
directions = F.normalize(torch.stack(steps), dim=1)
alike = (directions @ directions.T)[~torch.eye(len(pairs), dtype=torch.bool)]
low, high, mean_alike = alike.min(), alike.max(), alike.mean()
print(f"{len(pairs)} verbs, cosine of their steps to -ing: {low:.2f} to {high:.2f}, mean {mean_alike:.2f}")
assert 0.05 < mean_alike < 0.5

# %% [markdown]
# Unrelated steps would have a cosine of 0, and equal ones a cosine of 1. So this small model has a trace of such a
# direction, but no more: most of the result above is the plain similarity of *write* and *writing*. Larger models,
# which have read more, do better. Ask the word table of one of them the same question before you believe it.
#
# ## Exercises
#
# Write each answer into its cell and run it, as often as you like: `check` says what is wrong. The dots say how hard
# an exercise is. Hints and solutions are folded up.
#
# To be written **from memory**, with the notebook closed: `embed` (●●○, 10 minutes).
# `from minibert.course import task; task("embed")` prints what to write.
#
# ### 1. `embedding_parameters` (●○○, 4 minutes)
#
# How many parameters does `Embeddings` of BERT-base have (`BertConfig.base()`)? Count the word, segment and position
# tables and the LayerNorm.
#
# <details><summary>Hint</summary>
#
# A table of $n$ rows has $n \cdot D$ numbers. The LayerNorm has two vectors of $D$ numbers.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# embedding_parameters = (30_522 + 2 + 512 + 1 + 1) * 768
# ```
# </details>

# %%
embedding_parameters = None  # a number
check("embedding_parameters", embedding_parameters)

# %% [markdown]
# ### 2. `layer_norm` (●●○, 8 minutes)
#
# Compute LayerNorm without `nn.LayerNorm`, for `x` of any shape `(..., D)`.
#
# <details><summary>Hint</summary>
#
# The mean and the variance of the last axis; with `keepdim=True` they can be subtracted and divided by. Divide the
# variance by $D$, not by $D - 1$: `correction=0`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def layer_norm(x, weight, bias, eps):
#     mean, variance = x.mean(-1, keepdim=True), x.var(-1, correction=0, keepdim=True)
#     return (x - mean) / (variance + eps) ** 0.5 * weight + bias
# ```
# </details>


# %%
def layer_norm(x, weight, bias, eps):
    pass  # your code


check("layer_norm", layer_norm)

# %% [markdown]
# ### 3. `nearest_tokens` (●●○, 10 minutes)
#
# Return the `k` nearest tokens of a word by the cosine of their vectors, the word itself left out, as a list of
# strings. `table` is `(V, D)`; `tokenizer` turns tokens into numbers and back.
#
# <details><summary>Hint</summary>
#
# Divide every row by its length (`F.normalize`); then one product with the word's row gives all cosines.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def nearest_tokens(word, table, tokenizer, k):
#     directions = F.normalize(table, dim=1)
#     order = (directions @ directions[tokenizer.convert_tokens_to_ids(word)]).argsort(descending=True).tolist()
#     return [token for token in tokenizer.convert_ids_to_tokens(order) if token != word][:k]
# ```
# </details>


# %%
def nearest_tokens(word, table, tokenizer, k):
    pass  # your code


check("nearest_tokens", nearest_tokens)
