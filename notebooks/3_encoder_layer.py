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
# # 3 · The encoder layer: one vector along the residual stream
#
# Attention lets tokens exchange what they know; the **feed-forward** network lets each token think about what it got.
# Both *add* to the token's vector. What runs through all layers in this way, read and added to, is called the
# **residual stream** (in BERT not an undisturbed one: after each sum a LayerNorm rescales it). The idea of this
# notebook: follow one vector on its way through, and watch it turn from "some word is missing here" into "*reading*".
# So we hide that word from our sentence:
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
import torch.nn.functional as F
from torch import Tensor, nn

from minibert import BertForPreTraining, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.model.attention import MultiHeadSelfAttention
from minibert.model.packing import Packing

# %%
tokenizer = BertTokenizer.from_pretrained("minibert-tiny")
model = BertForPreTraining.from_pretrained("minibert-tiny").requires_grad_(False)
tokens = tokenizer.tokenize("The file is opened for [MASK].", add_special_tokens=True)
token_ids = torch.tensor(tokenizer.convert_tokens_to_ids(tokens))  # (T,)
T, hidden_token = len(tokens), tokens.index("[MASK]")
x = model.bert.embeddings(token_ids, torch.zeros_like(token_ids), torch.arange(T))  # (T, D), as in notebook 1
layer = model.bert.encoder.layer[0]
packing = Packing.from_mask(None, batch_size=1, seq_len=T)
attended, _ = layer.attention(x, packing)  # (T, D), as in notebook 2
print(*(f"{number:.2f}" for number in x[hidden_token, :10]), "... : the vector of [MASK] at the start")

# %% [markdown]
# The equations of one layer (Vaswani et al. 2017, sections 3.1 and 3.3, equation 2, with GELU in the place of ReLU as
# in Devlin et al. 2019, appendix A.2):
#
# $$ y = \mathrm{LayerNorm}_1\big(x + \mathrm{Attention}(x)\big) $$
#
# $$ \mathrm{FFN}(y) = W_2 \, \mathrm{gelu}(W_1 y + b_1) + b_2
# \qquad \mathrm{gelu}(u) = u \cdot \tfrac12 \Big(1 + \mathrm{erf}\frac{u}{\sqrt 2}\Big) $$
#
# $$ z = \mathrm{LayerNorm}_2\big(y + \mathrm{FFN}(y)\big) $$
#
# | symbol | here | shape | meaning |
# | --- | --- | --- | --- |
# | $x, y, z$ | `x`, `y`, `z` | $(D)$ per token | before, between and after |
# | $\mathrm{Attention}$ | `layer.attention` | | heads and output projection, notebook 2 |
# | $\mathrm{LayerNorm}_1$ | `layer.attention_norm` | | as in notebook 1, with numbers of its own |
# | $W_1, b_1$ | `up.weight`, `up.bias` | $(F, D)$, $(F)$ | $F = 512$ neurons read the token |
# | $W_2, b_2$ | `down.weight`, `down.bias` | $(D, F)$, $(D)$ | and write to it |
# | $\mathrm{LayerNorm}_2$ | `layer.feed_forward_norm` | | |
#
# Dropout comes before each sum; outside of training it does nothing.
#
# ## Add and normalise
#
# In BERT the norm comes *after* the sum (post-norm). Many later models put it before the attention instead.

# %%
summed = x + attended
y = layer.attention_norm(summed)
for name, vector in (("x", x), ("what attention adds", attended), ("their sum", summed), ("y, normalised", y)):
    print(f"{name:20} length {vector[hidden_token].norm():6.2f}")

# %% [markdown]
# ## The feed-forward network
#
# ### First with a loop
#
# Each of the $F$ neurons has a vector that it looks for in the token (a row of $W_1$), and another that it adds to the
# token when it finds it (a column of $W_2$). How much it adds, the activation decides. It is the same for each token,
# and no token sees another.


# %%
def gelu(u: Tensor) -> Tensor:
    return u * 0.5 * (1 + torch.erf(u / math.sqrt(2)))


up, down = layer.feed_forward.up, layer.feed_forward.down
added = down.bias.clone()  # what the network adds to the one token
activity = torch.empty(len(up.bias))
for neuron in range(len(up.bias)):
    activity[neuron] = gelu(up.weight[neuron] @ y[hidden_token] + up.bias[neuron])
    added += activity[neuron] * down.weight[:, neuron]

# %%
u = torch.linspace(-4, 4, 200)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.plot(u, gelu(u), color="black", label="gelu")
left.plot(u, F.relu(u), color="grey", linestyle="--", label="relu")
left.set(xlabel="what the neuron finds", ylabel="what it passes on", title="the activation")
left.grid(alpha=0.3)
left.legend()
right.hist(activity.numpy(), bins=40, color="grey")
right.set(xlabel="activity", ylabel="neurons", title="the 512 neurons at [MASK]")
right.grid(alpha=0.3)

# %% [markdown]
# GELU is nearly zero on the left, and nearly the number itself on the right. Most neurons say little about this
# token, a few say much.
#
# ### Then with matrices

# %%
fed = gelu(y @ up.weight.T + up.bias) @ down.weight.T + down.bias  # (T, D) -> (T, F) -> (T, D)
torch.testing.assert_close(fed[hidden_token], added)
torch.testing.assert_close(gelu(u), F.gelu(u))
z = layer.feed_forward_norm(y + fed)
print(f"added to [MASK]: length {added.norm():.2f}; z: length {z[hidden_token].norm():.2f}")

# %% [markdown]
# ### Then as a module


# %%
class OurLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, inner = config.hidden_size, config.intermediate_size
        self.attention = MultiHeadSelfAttention(config)  # the last notebook's
        self.feed_forward = nn.ModuleDict({"up": nn.Linear(hidden, inner), "down": nn.Linear(inner, hidden)})
        self.attention_norm, self.feed_forward_norm = (nn.LayerNorm(hidden, eps=1e-12) for _ in "yz")

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        y = self.attention_norm(x + self.attention(x, packing)[0])
        return self.feed_forward_norm(y + self.feed_forward.down(gelu(self.feed_forward.up(y))))


# %%
ours = OurLayer(model.config).eval()
ours.load_state_dict({name: layer.get_parameter(name) for name, _ in ours.named_parameters()})
theirs, _ = layer(x, packing)
torch.testing.assert_close(ours(x, packing), theirs)
torch.testing.assert_close(z, theirs)
print("equal to minibert.model.encoder.EncoderLayer")

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    folder = local_folder("minibert-tiny")
    reference = transformers.BertForPreTraining.from_pretrained(folder).float().eval()
    expected = reference.bert.encoder.layer[0](x[None])[0].view(T, -1)
    torch.testing.assert_close(expected.detach(), theirs)
    print("equal to the reference")

# %% [markdown]
# ## The whole way
#
# A BERT is a stack of such layers. Ours has two, BERT-base twelve. Here are all the stations of the vector of `[MASK]`,
# and how far it has turned away from where it started:

# %%
stations = {"embeddings": x}
for number, block in enumerate(model.bert.encoder.layer):
    after_attention = block.attention_norm(x + block.attention(x, packing)[0])
    x = block.feed_forward_norm(after_attention + block.feed_forward(after_attention))
    stations |= {f"attention {number}": after_attention, f"feed-forward {number}": x}
for name, vectors in stations.items():
    turned = F.cosine_similarity(vectors[hidden_token], stations["embeddings"][hidden_token], dim=0)
    print(f"{name:15} cosine with the start {turned:5.2f}")
torch.testing.assert_close(x, model.bert(token_ids[None]).last_hidden_state[0])

# %% [markdown]
# ## What would it say here?
#
# The last step of BERT turns the vector at `[MASK]` into a probability for each of the 8,192 tokens: another projection
# with GELU and LayerNorm, and then the product with every row of the word table. We may ask that of *every* station,
# although the model was only trained to answer at the end:

# %%
reading = tokenizer.convert_tokens_to_ids("reading")
probability = {}
for name, vectors in stations.items():
    prediction = model.mlm_head(vectors[hidden_token]).softmax(dim=-1)  # (V,)
    probability[name] = prediction[reading].item()
    best = prediction.topk(3)
    words = zip(tokenizer.convert_ids_to_tokens(best.indices), best.values, strict=True)
    print(f"{name:15}", ", ".join(f"{word} {p:.0%}" for word, p in words))
assert probability["feed-forward 1"] == max(probability.values())

# %%
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(list(probability), list(probability.values()), "o-", color="black")
ax.set(xlabel="station", ylabel="probability of “reading”", title="the answer forms along the residual stream")
ax.set_ylim(bottom=0)
ax.grid(alpha=0.3)

# %% [markdown]
# ## Exercises
#
# 1. How many numbers does one layer of BERT-base hold ($D = 768$, $F = 3072$)? Count all weights and biases, and both
#    LayerNorms. Answer with a number.
# 2. Google's code once wrote GELU without erf:
#    $0.5\,u\,\big(1 + \tanh\big(\sqrt{2/\pi}\,(u + 0.044715\,u^3)\big)\big)$. Write it as a function of `(u)`.
# 3. Write the pre-norm layer that later models use, $y = x + \mathrm{Attention}(\mathrm{LayerNorm}_1(x))$ and
#    $z = y + \mathrm{FFN}(\mathrm{LayerNorm}_2(y))$, as a function of `(layer, x, packing)` that uses the parts of an
#    `EncoderLayer`.

# %%
answers = {
    1: None,  # a number
    2: None,  # a function of (u)
    3: None,  # a function of (layer, x, packing)
}


# %%
def check_1(answer):
    return answer == 7_087_872  # BERT-base has twelve of them: 85 of its 110 million numbers


def check_2(answer):
    u = torch.linspace(-5, 5, 101, dtype=torch.float64)
    near, not_the_same = torch.allclose(answer(u), gelu(u), atol=1e-3), (answer(u) - gelu(u)).abs().max() > 1e-5
    return near and not_the_same


# %%
def check_3(answer):
    start = stations["embeddings"]
    return abs(answer(layer, start, packing)[hidden_token].norm() - 17.7530) < 0.01


# %%
checks = {1: check_1, 2: check_2, 3: check_3}
for number, answer in answers.items():
    try:
        verdict = "open" if answer is None else "right" if checks[number](answer) else "not yet"
    except Exception as error:  # whatever an answer may do
        verdict = f"not yet: {type(error).__name__}: {error}"
    print(f"exercise {number}:", verdict)


# %% jupyter={"source_hidden": true}
def gelu_tanh(u):
    return 0.5 * u * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))


def pre_norm(layer, x, packing):
    y = x + layer.attention(layer.attention_norm(x), packing)[0]
    return y + layer.feed_forward(layer.feed_forward_norm(y))


# %% jupyter={"source_hidden": true}
one_layer = 4 * (768 * 768 + 768) + (768 * 3072 + 3072) + (3072 * 768 + 768) + 2 * 2 * 768
solutions = {1: one_layer, 2: gelu_tanh, 3: pre_norm}
assert all(checks[number](solution) for number, solution in solutions.items())
print("all three solutions are right")
