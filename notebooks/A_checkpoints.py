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
# # A · Checkpoints: parameters are a renamed dictionary
#
# [中文](zh/A_checkpoints.ipynb)
#
# > **The question:** what is in the file that you download, and how does it become a model?
#
# - **You need** notebook 4. Here we look closely at its ten lines of renaming.
# - **Afterwards you can** read a `safetensors` file byte by byte, load it safely, and say where a BERT's parameters
#   are.
# - **Time:** 25 minutes, and 17 for the exercises. This is the first of three engineering appendices. B uses its names,
#   C stands alone.
#
# Everything that a BERT has learned is in one file: a dictionary from names to matrices. Loading it means looking up
# names in a table. We read such a file byte by byte, rename what we find, and let the model finish our sentence.

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
import json
import struct
import tempfile

import matplotlib.pyplot as plt
import torch

# %%
from minibert import BertConfig, BertForPreTraining, BertTokenizer
from minibert.checkpoint.files import read_tensors
from minibert.checkpoint.key_map import KEY_MAP, from_reference, to_reference
from minibert.checkpoint.opened import local_folder
from minibert.course import check

MODEL = "minibert-tiny"
folder = local_folder(MODEL)
print("a checkpoint is a folder with", ", ".join(sorted(path.name for path in folder.iterdir())))
print(f"model.safetensors has {(folder / 'model.safetensors').stat().st_size:,} bytes")

# %% [markdown]
# ## The file, byte by byte
#
# A `safetensors` file begins with eight bytes that say how long its table of contents is. Then comes this table, as
# JSON. For each name it gives the type of the numbers, their shape, and where their bytes begin and end. After it come
# these bytes. Nothing in the file can be executed: that is why the format exists. The older `pytorch_model.bin` is a
# Python *pickle*, which may run any code when opened carelessly.

# %%
content = (folder / "model.safetensors").read_bytes()
(header_length,) = struct.unpack("<Q", content[:8])  # a whole number of 64 bits
header = json.loads(content[8 : 8 + header_length])
numbers = content[8 + header_length :]
print(header.pop("__metadata__"))
print(f"{len(header)} tensors; the first three:")
for name, entry in list(header.items())[:3]:
    print(name, entry)

# %% [markdown]
# ### First with a loop
#
# Our file stores each number in two bytes (`F16`, half precision). We read the word table's row for *file*, one number
# at a time, and print a few:

# %%
name = "bert.embeddings.word_embeddings.weight"
tokenizer = BertTokenizer.from_pretrained(MODEL)
row, (rows, columns) = tokenizer.convert_tokens_to_ids("file"), header[name]["shape"]
begin = header[name]["data_offsets"][0] + row * columns * 2
file_row = []
for column in range(columns):
    at = begin + 2 * column
    file_row += struct.unpack("<e", numbers[at : at + 2])
print(f"row {row} of {rows:,}:", *(f"{number:.3f}" for number in file_row[50:58]), "...")

# %% [markdown]
# ### Then whole matrices
#
# There is no need to read numbers one by one. A stretch of bytes *is* a matrix, once you say its type and shape.

# %%
tensors = {}
for name, entry in header.items():
    begin, end = entry["data_offsets"]
    assert entry["dtype"] == "F16"
    tensors[name] = torch.frombuffer(bytearray(numbers[begin:end]), dtype=torch.float16).view(entry["shape"])
expected = read_tensors(folder / "model.safetensors")
assert tensors.keys() == expected.keys()
assert all(torch.equal(tensors[name], expected[name]) for name in tensors)
assert tensors["bert.embeddings.word_embeddings.weight"][row].tolist() == file_row

# %% [markdown]
# ## Two names for everything
#
# The names in the file are those of the first PyTorch BERT, from 2018. Nearly every PyTorch checkpoint of a BERT uses
# them (the oldest differ in two: exercise 2), so we cannot change them. In our code, each part has a name that says
# what it does. In notebook 4, ten lines translated one into the other. The package has a table instead, and nothing
# else in it knows the names of the file. `{i}` is the number of a layer.

# %%
for ours, theirs in KEY_MAP[3:10]:
    print(f"{theirs:55} → {ours}")
print(f"... {len(KEY_MAP)} rows in all")

# %% [markdown]
# The table is data, so it can be read both ways. Translating a name there and back must lead to where we began:

# %%
names, unexpected = from_reference(tensors)  # {our name: name in the file}
assert len(names) == len(tensors) and not unexpected
assert all(to_reference(ours) == theirs for ours, theirs in names.items())
_, unexpected = from_reference([*tensors, "bert.encoder.layer.0.attention.self.quarry.weight"])
print("a name that no BERT has is not passed over in silence:", unexpected)

# %% [markdown]
# ## Loading, written out
#
# To load a model, make an untrained one of the right size and replace its parameters. Two things need care. The
# *shapes* must agree; `load_state_dict` checks that. And the decoder of the MLM head is **tied** to the word table:
# the two are one matrix, and the file holds it once. The same goes for its bias. (Missing keys have the file's names.)

# %%
config = BertConfig(**{k: v for k, v in json.loads((folder / "config.json").read_text()).items() if k != "model_type"})
model = BertForPreTraining(config).eval()  # random parameters
renamed = {ours: tensors[theirs].float() for ours, theirs in names.items()}
result = model.load_state_dict(renamed, strict=False)
print("in the model, but not in the file:", result.missing_keys)
assert model.mlm_head.decoder.weight is model.bert.embeddings.word.weight  # one matrix, two names
decoder = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}  # it is shared, and so it is there
assert not result.unexpected_keys and set(result.missing_keys) == decoder

# %% [markdown]
# That is all of `from_pretrained`, apart from its manners: error messages, older files, files in pieces, a report of
# what is missing. The same parameters give the same answers:

# %%
theirs = BertForPreTraining.from_pretrained(MODEL)
for (name, ours), (_, expected) in zip(model.named_parameters(), theirs.named_parameters(), strict=True):
    assert torch.equal(ours, expected), name

inputs = tokenizer("The file is opened for [MASK].", return_tensors="pt")
hidden = inputs["input_ids"][0] == tokenizer.mask_token_id
with torch.no_grad():
    best = model(**inputs).prediction_logits[0, hidden].softmax(dim=-1)[0].topk(4)
for token, probability in zip(tokenizer.convert_ids_to_tokens(best.indices), best.values, strict=True):
    print(f"The file is opened for {token:10} {probability:.0%}")

# %% [markdown]
# And back again: `transformers` loads what we save, and gives the same bits.

# %%
with tempfile.TemporaryDirectory() as copy, torch.no_grad():
    model.save_pretrained(copy)
    if importlib.util.find_spec("transformers") is None:
        print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
    else:
        import transformers

        transformers.logging.disable_progress_bar()
        reference = transformers.BertForPreTraining.from_pretrained(copy).eval()
        assert torch.equal(reference(**inputs).prediction_logits, model(**inputs).prediction_logits)
        print("transformers loads what we saved, and gives the same bits")

# %% [markdown]
# ## How many parameters, and where
#
# ![Where the parameters are](../docs/images/diagrams/parameters.svg)
#
# In notebook 4 we counted the parameters. Here is the formula: the sizes of all tables and matrices, added up (Devlin
# et al. 2019, section 3, gives the sizes, and section 3.1 the heads). The first 2 counts the segments, the second
# LayerNorm's scale and shift:
#
# $$ \underbrace{(V + M + 2 + 2)D}_{\text{embeddings}}
# + L\,\big(\underbrace{4D^2 + 4D}_{\text{attention}} + \underbrace{2DF + F + D}_{\text{feed-forward}}
# + \underbrace{4D}_{\text{norms}}\big)
# + \underbrace{D^2 + D}_{\text{pooler}} + \underbrace{D^2 + 3D + V}_{\text{MLM head}}
# + \underbrace{2D + 2}_{\text{NSP head}} $$
#
# | symbol | here | meaning |
# | --- | --- | --- |
# | $V$ | `config.vocab_size` | tokens in the vocabulary |
# | $M$ | `config.max_position_embeddings` | most tokens of a text |
# | $D, F$ | `config.hidden_size`, `config.intermediate_size` | numbers per token, neurons |
# | $L$ | `config.num_hidden_layers` | layers |


# %%
def count(config: BertConfig) -> dict[str, int]:
    V, M, L = config.vocab_size, config.max_position_embeddings, config.num_hidden_layers
    D, F = config.hidden_size, config.intermediate_size
    attention, feed_forward = L * (4 * D * D + 4 * D), L * (2 * D * F + F + D)
    heads = (D * D + D) + (D * D + 3 * D + V) + (2 * D + 2)
    parts = {"embeddings": (V + M + 4) * D, "attention": attention, "feed-forward": feed_forward}
    return parts | {"norms": L * 4 * D, "heads": heads}


assert sum(count(config).values()) == sum(tensor.numel() for tensor in tensors.values()) == model.num_parameters()

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
for ax, (name, sizes) in zip(axes, {MODEL: config, "BERT-base": BertConfig.base()}.items(), strict=True):
    parts = count(sizes)
    ax.barh(list(parts), [number / 1e6 for number in parts.values()], color="#1b3a5c")
    ax.set(xlabel="million parameters", title=f"{name}: {sum(parts.values()) / 1e6:.1f} million")
    ax.invert_yaxis()
    ax.grid(alpha=0.3, axis="x")

# %% [markdown]
# In our small BERT, most parameters are in the word table; in a large one, in the layers.
#
# ## Exercises
#
# Write each answer into its cell and run it, as often as you like: `check` says what is wrong. The dots say how hard
# an exercise is. Hints and solutions are folded up.
#
# ### 1. `bert_model_parameters` (●○○, 4 minutes)
#
# How many parameters does a `BertModel` of the size of BERT-base have, with the pooler, but without the two
# pretraining heads?
#
# <details><summary>Hint</summary>
#
# The formula above, without its last two terms. In BERT-base $F = 4D$.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# bert_model_parameters = (30_522 + 512 + 2 + 2) * 768 + 12 * (12 * 768**2 + 13 * 768) + 768**2 + 768
# ```
# </details>

# %%
bert_model_parameters = None  # a number
check("bert_model_parameters", bert_model_parameters)

# %% [markdown]
# ### 2. `modern` (●○○, 5 minutes)
#
# Checkpoints of 2018 call the parameters of a LayerNorm `LayerNorm.gamma` and `LayerNorm.beta`. Return the list of
# `names` with today's names (`weight`, `bias`), and change nothing else.
#
# <details><summary>Hint</summary>
#
# `name.endswith("LayerNorm.gamma")`: a parameter that is called `gamma` elsewhere keeps its name.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def modern(names):
#     today = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
#     for old, new in today.items():
#         names = [name.removesuffix(old) + new if name.endswith(old) else name for name in names]
#     return names
# ```
# </details>


# %%
def modern(names):
    pass  # your code


check("modern", modern)

# %% [markdown]
# ### 3. `largest` (●●○, 8 minutes)
#
# Return the name of the largest tensor in a `safetensors` file, the one with the most numbers in it. Read the table of
# contents only. `path` is a `Path`.
#
# <details><summary>Hint</summary>
#
# Eight bytes, the length of the table; then so many bytes of JSON. `__metadata__` is no tensor.
# </details>
# <details><summary>Solution</summary>
#
# ```python
# def largest(path):
#     with open(path, "rb") as file:
#         (length,) = struct.unpack("<Q", file.read(8))
#         header = json.loads(file.read(length))
#     header.pop("__metadata__", None)
#     return max(header, key=lambda name: torch.Size(header[name]["shape"]).numel())
# ```
# </details>


# %%
def largest(path):
    pass  # your code


check("largest", largest)
