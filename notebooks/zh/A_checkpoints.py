# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A · 检查点：参数就是一个改了名的字典
#
# [English](../A_checkpoints.ipynb)
#
# > **问题**：你下载的文件里有什么，它又怎样变成模型？
#
# - **需要**：第 4 课。那里的十行改名代码，这里要细看。
# - **学完以后**：能逐字节读懂一个 `safetensors` 文件，安全地加载它，还能说出一个 BERT 的参数都在哪里。
# - **时间**：25 分钟，习题另需 17 分钟。这是三个工程附录中的第一个；附录 B 用到这里的名称，附录 C 自成一篇。
#
# BERT 学到的一切都在一个文件里：一个从名称到矩阵的字典。加载它就是拿名称去查表。我们逐字节读这样一个文件，给里面的东西改名，再让模型补完我们的句子。

# %%
# 在自己的机器上，这一格什么也不做；在 Google Colab 里，它从本笔记本所在的仓库安装 minibert。
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
from minibert.course.zh import check

MODEL = "minibert-tiny"
folder = local_folder(MODEL)
print("a checkpoint is a folder with", ", ".join(sorted(path.name for path in folder.iterdir())))
print(f"model.safetensors has {(folder / 'model.safetensors').stat().st_size:,} bytes")

# %% [markdown]
# ## 逐字节看这个文件
#
# `safetensors` 文件的前八个字节说明目录有多长。接着是 JSON 格式的目录，对每个名称写明数的类型、形状，以及从哪个字节到哪个字节。目录之后就是这些字节。文件里没有任何可以执行的东西，这种格式就是为此设计的。早先的 `pytorch_model.bin` 是 Python 的 *pickle*，如果随便打开，里面无论什么代码都可能执行。

# %%
content = (folder / "model.safetensors").read_bytes()
(header_length,) = struct.unpack("<Q", content[:8])  # 一个 64 位整数
header = json.loads(content[8 : 8 + header_length])
numbers = content[8 + header_length :]
print(header.pop("__metadata__"))
print(f"{len(header)} tensors; the first three:")
for name, entry in list(header.items())[:3]:
    print(name, entry)

# %% [markdown]
# ### 先用循环
#
# 这个文件用两个字节存一个数（`F16`，半精度）。我们把词元表里 *file* 的那一行一个数一个数地读出来，打印其中几个：

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
# ### 再读整个矩阵
#
# 不必一个数一个数地读。只要说明类型和形状，一段字节**就是**一个矩阵。

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
# ## 一切都有两个名称
#
# 文件里的名称来自 2018 年第一个 PyTorch 版的 BERT。几乎所有 PyTorch 的 BERT 检查点都用它们（最早的有两处不同，见习题 2），所以不能改。在我们的代码里，每个部分的名称说明它做什么。第 4 课用十行代码来翻译。minibert 里则是一张表，除此之外没有哪段代码知道文件里的名称。`{i}` 是层的编号。

# %%
for ours, theirs in KEY_MAP[3:10]:
    print(f"{theirs:55} → {ours}")
print(f"... {len(KEY_MAP)} rows in all")

# %% [markdown]
# 这张表是数据，所以可以朝两个方向读。名称翻译过去再翻译回来，应当回到起点：

# %%
names, unexpected = from_reference(tensors)  # {我们的名称: 文件里的名称}
assert len(names) == len(tensors) and not unexpected
assert all(to_reference(ours) == theirs for ours, theirs in names.items())
_, unexpected = from_reference([*tensors, "bert.encoder.layer.0.attention.self.quarry.weight"])
print("a name that no BERT has is not passed over in silence:", unexpected)

# %% [markdown]
# ## 把加载过程写出来
#
# 先造一个大小合适、未经训练的模型，再换掉它的参数。有两点要小心。**形状**必须一致，这由 `load_state_dict` 检查。另外，MLM 头的解码器与词元表是**共享**的：两者是同一个矩阵，文件里只存一份。偏置也是这样。（缺少的键是文件里的名称。）

# %%
config = BertConfig(**{k: v for k, v in json.loads((folder / "config.json").read_text()).items() if k != "model_type"})
model = BertForPreTraining(config).eval()  # 随机参数
renamed = {ours: tensors[theirs].float() for ours, theirs in names.items()}
result = model.load_state_dict(renamed, strict=False)
print("in the model, but not in the file:", result.missing_keys)
assert model.mlm_head.decoder.weight is model.bert.embeddings.word.weight  # 一个矩阵，两个名称
decoder = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}  # 它是共享的，所以已经有了
assert not result.unexpected_keys and set(result.missing_keys) == decoder

# %% [markdown]
# `from_pretrained` 做的就是这些，此外只是更周到：报错信息、旧版文件、分片文件、报告缺了什么。参数相同，答案就相同：

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
# 反过来也行：我们保存的检查点，`transformers` 能够加载，结果逐位相同。

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
# ## 有多少参数，在哪里
#
# ![参数都在哪里](../../docs/images/diagrams/parameters.zh.svg)
#
# 在第 4 课里我们是数出来的。这里给出公式，把所有表和矩阵的大小加起来（大小见 Devlin et al. 2019，第 3 节，各个头见第 3.1 节）。第一个 2 是片段数，第二个是层归一化的缩放和平移：
#
# $$ \underbrace{(V + M + 2 + 2)D}_{\text{嵌入层}}
# + L\,\big(\underbrace{4D^2 + 4D}_{\text{注意力}} + \underbrace{2DF + F + D}_{\text{前馈网络}}
# + \underbrace{4D}_{\text{层归一化}}\big)
# + \underbrace{D^2 + D}_{\text{池化层}} + \underbrace{D^2 + 3D + V}_{\text{MLM 头}}
# + \underbrace{2D + 2}_{\text{NSP 头}} $$
#
# | 符号 | 代码里 | 含义 |
# | --- | --- | --- |
# | $V$ | `config.vocab_size` | 词表里的词元数 |
# | $M$ | `config.max_position_embeddings` | 一段文本最多有多少词元 |
# | $D, F$ | `config.hidden_size`, `config.intermediate_size` | 每个词元有多少个数，有多少神经元 |
# | $L$ | `config.num_hidden_layers` | 层数 |


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
# 在我们的小 BERT 里，大部分参数在词元表里；在大的 BERT 里，大部分在各层里。
#
# ## 习题
#
# 把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会说出来。圆点表示难度。提示和答案都是折叠的，点开才看得见。
#
# ### 1. `bert_model_parameters`（●○○，4 分钟）
#
# BERT-base 那么大的 `BertModel`，带池化层，但不带两个预训练的头，有多少参数？
#
# <details><summary>提示</summary>
#
# 用上面的公式，去掉最后两项。在 BERT-base 里 $F = 4D$。
# </details>
# <details><summary>答案</summary>
#
# ```python
# bert_model_parameters = (30_522 + 512 + 2 + 2) * 768 + 12 * (12 * 768**2 + 13 * 768) + 768**2 + 768
# ```
# </details>

# %%
bert_model_parameters = None  # 一个数
check("bert_model_parameters", bert_model_parameters)

# %% [markdown]
# ### 2. `modern`（●○○，5 分钟）
#
# 2018 年的检查点把 LayerNorm 的参数叫作 `LayerNorm.gamma` 和 `LayerNorm.beta`。返回名称列表 `names`，改用今天的名称（`weight`、`bias`），此外什么也不改。
#
# <details><summary>提示</summary>
#
# `name.endswith("LayerNorm.gamma")`：别处叫作 `gamma` 的参数，名称不变。
# </details>
# <details><summary>答案</summary>
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
    pass  # 你的代码


check("modern", modern)

# %% [markdown]
# ### 3. `largest`（●●○，8 分钟）
#
# 返回一个 `safetensors` 文件里最大的张量的名称，也就是数最多的那个。只读目录。`path` 是一个 `Path`。
#
# <details><summary>提示</summary>
#
# 先是八个字节，即目录的长度；然后是这么多字节的 JSON。`__metadata__` 不是张量。
# </details>
# <details><summary>答案</summary>
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
    pass  # 你的代码


check("largest", largest)
