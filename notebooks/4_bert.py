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
# # 4 · BERT on one page: the heads, and everything put together
#
# [中文](zh/4_bert.ipynb)
#
# > **The question:** how does a vector become an answer, and is that all of BERT?
#
# - **You need** notebooks 1 to 3.
# - **Afterwards you can** write a complete BERT from memory, load trained parameters into it, and prove that it
#   computes what the package and the reference compute.
# - **Time:** 40 minutes, and 24 for the exercises.
#
# This is the summit of the first half. You have the embeddings, the attention and the encoder layer. Only the **heads**
# are missing, the parts on top that turn vectors into answers (not to be confused with attention heads): which word is
# hidden, and does B follow A? Once we have them, we put everything on one page of about eighty lines of code. Then we
# load the parameters that come with the package, and let *your* BERT finish our sentence:
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
from safetensors.torch import load_file
from torch import Tensor, nn

from minibert import BertConfig, BertForPreTraining, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course import check

# %%
MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
package = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)  # what we compare with
pair = tokenizer("The file is opened for [MASK].", "It is an error if the file does not exist.", return_tensors="pt")
outputs = package(**pair, output_hidden_states=True)
x = outputs.hidden_states[-1][0]  # (T, D): what the last layer says about each token
tokens = pair.tokens()
hidden_token = tokens.index("[MASK]")
print(*tokens)

# %% [markdown]
# ## Two heads
#
# The encoder leaves us with a vector for each token, and we have two questions.
#
# **Does B follow A?** (Next sentence prediction, NSP.) There must be one answer for the whole pair, so it is read off a
# single vector, that of `[CLS]`. The **pooler** prepares it, and a matrix with two rows turns it into two scores.
#
# **Which word is hidden?** (Masked language modelling, MLM.) Here we need a score for every token of the vocabulary.
# The vector is transformed once more, and then compared with *every row of the word table*. The word whose vector fits
# best gets the highest score. So the table that looks words up at the beginning also reads them off at the end. The two
# are **tied**: they are one matrix, used in two places.
#
# $$ u = \tanh(W^P x_{\texttt{[CLS]}} + b^P) \qquad z^{\mathrm{NSP}} = W^N u + b^N $$
#
# $$ h_t = \mathrm{LayerNorm}\big(\mathrm{gelu}(W^M x_t + b^M)\big) \qquad
# z^{\mathrm{MLM}}_{t,v} = W_v \cdot h_t + b_v $$
#
# (Devlin et al. 2019, section 3.1. The transform with $W^M$ is not in the paper, but it is in the code.)
#
# | symbol | here | shape | meaning |
# | --- | --- | --- | --- |
# | $x_t$ | `x[t]` | $(D)$ | what the last layer says about token $t$ |
# | $u$ | `pooled` | $(D)$ | the vector for the whole text |
# | $W^P, b^P$ | `pooler` | $(D, D)$, $(D)$ | the pooler |
# | $W^N, b^N$ | `nsp` | $(2, D)$, $(2)$ | the NSP head. Score 0 says that B follows, score 1 that it is random |
# | $W^M, b^M$ | `dense` | $(D, D)$, $(D)$ | the transform of the MLM head |
# | $W_v, b_v$ | `word[v]`, `bias[v]` | $(D)$, a number | the vector of token $v$ (notebook 1), and a bias |
#
# ### First with a loop

# %%
pooler, nsp = package.bert.pooler.dense, package.nsp_head.linear
pooled = torch.empty(len(x[0]))
for d in range(len(pooled)):
    pooled[d] = math.tanh(sum(pooler.weight[d] * x[0]) + pooler.bias[d])
scores = [sum(nsp.weight[c] * pooled) + nsp.bias[c] for c in (0, 1)]
follows = math.exp(scores[0]) / (math.exp(scores[0]) + math.exp(scores[1]))
print(f"scores {scores[0]:.2f} and {scores[1]:.2f}: B follows A with probability {follows:.0%}")


# %%
def gelu(u: Tensor) -> Tensor:
    return u * 0.5 * (1 + torch.erf(u / math.sqrt(2)))


dense, norm, bias = package.mlm_head.dense, package.mlm_head.norm, package.mlm_head.bias
word = package.bert.embeddings.word.weight  # (V, D)
h = norm(gelu(x[hidden_token] @ dense.weight.T + dense.bias))
for name in ("reading", "writing", "file", "the", "[SEP]"):
    v = tokenizer.convert_tokens_to_ids(name)
    print(f"{name:8} scores {sum(word[v] * h) + bias[v]:6.2f}")

# %% [markdown]
# ### Then with matrices

# %%
torch.testing.assert_close(torch.tanh(x[0] @ pooler.weight.T + pooler.bias), pooled)
all_scores = norm(gelu(x @ dense.weight.T + dense.bias)) @ word.T + bias  # (T, D) @ (D, V) -> (T, V)
torch.testing.assert_close(pooled @ nsp.weight.T + nsp.bias, outputs.seq_relationship_logits[0])
torch.testing.assert_close(all_scores, outputs.prediction_logits[0])
best = all_scores[hidden_token].softmax(dim=-1).topk(3)
for name, p in zip(tokenizer.convert_ids_to_tokens(best.indices), best.values, strict=True):
    print(f"The file is opened for {name:8} {p:.0%}")

# %% [markdown]
# ## The whole BERT, part by part
#
# ![The architecture of BERT](../docs/images/diagrams/architecture.svg)
#
# Now for the page. Three of the parts are yours, from notebooks 1 to 3. All of them take a batch `(B, S, D)`, which is
# B texts of S positions each, and a mask `(B, S)` that is true at real tokens. The only new thing is dropout, in four
# places: after the embeddings, on the attention weights, and before each of the two sums of a layer.
#
# The cells below hold, in this order, the embeddings of notebook 1, the attention of notebook 2 and the layer of
# notebook 3; then the encoder, which stacks layers on the embeddings and returns what each of them says; then the MLM
# head, whose last matrix *is* the word table; and finally the whole model.


# %%
class Embeddings(nn.Module):
    def __init__(self, config: BertConfig):
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)
        self.segment = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.position = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.norm, self.dropout = nn.LayerNorm(config.hidden_size, eps=1e-12), nn.Dropout(0.1)

    def forward(self, token_ids: Tensor, segment_ids: Tensor) -> Tensor:  # (B, S) -> (B, S, D)
        positions = torch.arange(token_ids.shape[1])
        return self.dropout(self.norm(self.word(token_ids) + self.segment(segment_ids) + self.position(positions)))


# %%
class SelfAttention(nn.Module):
    def __init__(self, config: BertConfig):
        super().__init__()
        self.query, self.key, self.value, self.mix = (nn.Linear(config.hidden_size, config.hidden_size) for _ in "qkvm")
        self.heads, self.dropout = config.num_attention_heads, nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # (B, S, D), (B, S) -> (B, S, D)
        q, k, v = (f(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        scores = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).masked_fill(~mask[:, None, None], -math.inf)
        return self.mix((self.dropout(scores.softmax(dim=3)) @ v).transpose(1, 2).flatten(2))


# %%
class Layer(nn.Module):
    def __init__(self, config: BertConfig):
        super().__init__()
        D, inner = config.hidden_size, config.intermediate_size
        self.attention, self.up, self.down = SelfAttention(config), nn.Linear(D, inner), nn.Linear(inner, D)
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(D, eps=1e-12), nn.LayerNorm(D, eps=1e-12)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
        return self.feed_forward_norm(x + self.dropout(self.down(gelu(self.up(x)))))


# %%
class Encoder(nn.Module):
    def __init__(self, config: BertConfig):
        super().__init__()
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def forward(self, token_ids: Tensor, segment_ids: Tensor, mask: Tensor) -> list[Tensor]:  # L + 1 times (B, S, D)
        states = [self.embeddings(token_ids, segment_ids)]
        for layer in self.layers:
            states.append(layer(states[-1], mask))
        return states


# %%
class MLMHead(nn.Module):
    def __init__(self, config: BertConfig, word: nn.Embedding):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=1e-12)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.decoder.weight = word.weight  # tied

    def forward(self, x: Tensor) -> Tensor:  # (B, S, D) -> (B, S, V)
        return self.decoder(self.norm(gelu(self.dense(x))))


# %%
class Bert(nn.Module):
    def __init__(self, config: BertConfig):
        super().__init__()
        self.encoder = Encoder(config)
        self.pooler, self.nsp = nn.Linear(config.hidden_size, config.hidden_size), nn.Linear(config.hidden_size, 2)
        self.mlm = MLMHead(config, self.encoder.embeddings.word)

    def forward(self, token_ids: Tensor, segment_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x = self.encoder(token_ids, segment_ids, mask)[-1]  # (B, S, D)
        return self.mlm(x), self.nsp(torch.tanh(self.pooler(x[:, 0])))  # (B, S, V), (B, 2); [CLS] is the first token


# %%
bert = Bert(BertConfig.from_pretrained(MODEL)).eval().requires_grad_(False)
print(f"a BERT with {sum(p.numel() for p in bert.parameters()):,} parameters, all of them random")
assert sum(p.numel() for p in bert.parameters()) == package.num_parameters()

# %% [markdown]
# ## Loading: ten lines of renaming
#
# The trained parameters are in a file, as a dictionary from names to matrices. The names are those of the first PyTorch
# BERT, from 2018, and nearly every BERT that you can download uses them. Ours are shorter, so we translate. (Appendix A
# opens such a file byte by byte.)

# %%
NAMES = {"bert.embeddings.": "encoder.embeddings.", "bert.encoder.layer.": "encoder.layers.", "bert.": ""}
NAMES |= {"word_embeddings": "word", "token_type_embeddings": "segment", "position_embeddings": "position"}
NAMES |= {"embeddings.LayerNorm": "embeddings.norm", "attention.self.": "attention."}
NAMES |= {"attention.output.dense": "attention.mix", "attention.output.LayerNorm": "attention_norm"}
NAMES |= {"intermediate.dense": "up", "output.dense": "down", "output.LayerNorm": "feed_forward_norm"}
NAMES |= {"pooler.dense": "pooler", "cls.seq_relationship": "nsp", "cls.predictions.bias": "mlm.decoder.bias"}
NAMES |= {"cls.predictions.transform.dense": "mlm.dense", "cls.predictions.transform.LayerNorm": "mlm.norm"}


# %%
def rename(name: str) -> str:
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


tensors = {rename(name): t.float() for name, t in load_file(local_folder(MODEL) / "model.safetensors").items()}
tensors["mlm.decoder.weight"] = tensors["encoder.embeddings.word.weight"]  # tied: the file holds it once
print(bert.load_state_dict(tensors))  # strict: a name too many or too few would be an error

# %% [markdown]
# Is it BERT? We take two texts of different lengths, so that the mask has something to do, and compare every score of
# every real token with the package's:

# %%
texts = ["The file is opened for [MASK].", "A list is a [MASK] sequence. Items may be added and removed."]
batch = tokenizer(texts, padding=True, return_tensors="pt")
token_ids, segment_ids, mask = batch["input_ids"], batch["token_type_ids"], batch["attention_mask"].bool()
mlm, nsp_scores = bert(token_ids, segment_ids, mask)
theirs = package(**batch)
torch.testing.assert_close(mlm[mask], theirs.prediction_logits[mask])
torch.testing.assert_close(nsp_scores, theirs.seq_relationship_logits)
print(f"{mlm[mask].numel():,} scores, largest difference {(mlm - theirs.prediction_logits)[mask].abs().max():.1g}")

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    reference = transformers.BertForPreTraining.from_pretrained(local_folder(MODEL)).float().eval()
    expected = reference(**batch)
    torch.testing.assert_close(mlm[mask], expected.prediction_logits.detach()[mask])
    torch.testing.assert_close(nsp_scores, expected.seq_relationship_logits.detach())
    print("equal to the reference")

# %% [markdown]
# **You have built BERT.** Nothing is left out: the same class with 12 layers of 768 numbers is BERT-base, and it would
# load the parameters that Google published. The package only adds robustness (error messages, older files, saving) and
# speed (no work on padding; appendix C starts from this page).
#
# ## The answer forms along the stream
#
# In notebook 3 we followed the vector of `[MASK]` from station to station, but we had no way to read a word off it. Now
# we do. So we can ask *every* station what it would say, although the model was only trained to answer at the end:

# %%
inputs = tokenizer("The file is opened for [MASK].", return_tensors="pt")
states = bert.encoder(inputs["input_ids"], inputs["token_type_ids"], inputs["attention_mask"].bool())
place, stations = inputs.tokens().index("[MASK]"), {"embeddings": states[0]}
for number, layer in enumerate(bert.encoder.layers):
    before = states[number]
    y = layer.attention_norm(before + layer.attention(before, inputs["attention_mask"].bool()))
    stations |= {f"attention {number}": y, f"feed-forward {number}": states[number + 1]}

# %%
reading = tokenizer.convert_tokens_to_ids("reading")
probability = {}
for name, vectors in stations.items():
    prediction = bert.mlm(vectors[:, place]).softmax(dim=-1)[0]  # (V,)
    probability[name] = prediction[reading].item()
    best = prediction.topk(3)
    words = zip(tokenizer.convert_ids_to_tokens(best.indices), best.values, strict=True)
    print(f"{name:15}", ", ".join(f"{word} {p:.0%}" for word, p in words))
assert probability["feed-forward 1"] == max(probability.values())

# %%
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(list(probability), list(probability.values()), "o-", color="#1b3a5c")
ax.set(xlabel="station", ylabel="probability of “reading”", title="the answer forms along the residual stream")
ax.set_ylim(bottom=0)
ax.grid(alpha=0.3)

# %% [markdown]
# ## Where the parameters are
#
# ![Where the parameters are](../docs/images/diagrams/parameters.svg)
#
# In our small BERT, most of the parameters are in the word table. In a large one, they are in the layers:


# %%
def count(bert: Bert) -> dict[str, int]:
    parts = {"embeddings": bert.encoder.embeddings, "layers": bert.encoder.layers}
    parts |= {"pooler": bert.pooler, "NSP head": bert.nsp}
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    return sizes | {"MLM head": sum(p.numel() for p in bert.mlm.parameters()) - bert.mlm.decoder.weight.numel()}


with torch.device("meta"):  # shapes without memory
    base = Bert(BertConfig.base())
for name, sizes in (("ours", count(bert)), ("BERT-base", count(base))):
    print(f"{name:9}", ", ".join(f"{part} {size:,}" for part, size in sizes.items()), f"= {sum(sizes.values()):,}")

# %% [markdown]
# ## Exercises
#
# Write each answer into its cell and run it, as often as you like: `check` says what is wrong. The dots say how hard
# an exercise is. Hints and solutions are folded up.
#
# ### 1. `mlm_head_parameters` (●○○, 4 minutes)
#
# How many parameters does an MLM head of BERT-base have ($D = 768$, $V = 30{,}522$), without the word table that it
# shares?
#
# <details><summary>Hint</summary>
#
# A linear map $D \to D$ with a bias, a LayerNorm, and one number for each token of the vocabulary.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# mlm_head_parameters = 768 * 768 + 768 + 2 * 768 + 30_522
# ```
# </details>

# %%
mlm_head_parameters = None  # a number
check("mlm_head_parameters", mlm_head_parameters)

# %% [markdown]
# ### 2. `complete` (●●●, 12 minutes)
#
# Return a text, in lower case, with its `[MASK]` replaced by the best token. `bert` is a model like yours: a function
# of token ids, segment ids `(B, S)` and a mask `(B, S)`, true at tokens, that returns the scores of the MLM head
# `(B, S, V)` and those of the NSP head.
#
# <details><summary>Hint</summary>
#
# `tokenizer(text, return_tensors="pt")` has all three inputs. Replace the token id that equals
# `tokenizer.mask_token_id`, then `tokenizer.decode(ids, skip_special_tokens=True)`.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def complete(bert, tokenizer, text):
#     inputs = tokenizer(text, return_tensors="pt")
#     ids = inputs["input_ids"].clone()
#     hidden = ids == tokenizer.mask_token_id
#     scores, _ = bert(ids, inputs["token_type_ids"], inputs["attention_mask"].bool())
#     ids[hidden] = scores[hidden].argmax(dim=-1)
#     return tokenizer.decode(ids[0].tolist(), skip_special_tokens=True)
# ```
# </details>


# %%
def complete(bert, tokenizer, text):
    pass  # your code


check("complete", complete)

# %% [markdown]
# ### 3. `make_batch` (●●○, 8 minutes)
#
# Make a batch: from lists of token ids of different lengths to `token_ids` `(B, S)`, filled up with `pad_id` on the
# right, and the mask `(B, S)`, true at real tokens. Return both.
#
# <details><summary>Hint</summary>
#
# A list of numbers times a count is a longer list: `[pad_id] * 3`. A token may have the number `pad_id`, too; so make
# the mask from the lengths.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def make_batch(lists, pad_id):
#     longest = max(map(len, lists))
#     token_ids = torch.tensor([ids + [pad_id] * (longest - len(ids)) for ids in lists])
#     return token_ids, torch.tensor([[place < len(ids) for place in range(longest)] for ids in lists])
# ```
# </details>


# %%
def make_batch(lists, pad_id):
    pass  # your code


check("make_batch", make_batch)
