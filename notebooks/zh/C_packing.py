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
# # C · 打包：填充要花多少，怎样才能不花
#
# [English](../C_packing.ipynb)
#
# > **问题**：文本有长有短，所以批次要用填充补齐。这要多做多少计算？能不能省掉？
#
# - **需要**：第 4 课。
# - **学完以后**：能不用填充就在长短不齐的文本上计算 BERT，证明结果不变，并且读懂 [`model/packing.py`](../../minibert/model/packing.py)。
# - **时间**：25 分钟，习题另需 18 分钟。
#
# 第 4 课那一页纸的 BERT 是对的，但是浪费。把我们的句子和一段一百个词元的文本放进同一个批次：
#
# > **The file is opened for reading.**
#
# 它也就变成一百个词元长，其中约九十个是 `[PAD]`。掩码保证它们不起作用，可是每一层都要把它们算一遍。
#
# ![填充的批次，与打包的同一个批次](../../docs/images/diagrams/padded-packed.zh.svg)

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
import math
import time

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from minibert import BertForPreTraining, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course.zh import check
from minibert.model.packing import Packing

# %%
MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
package = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)

# %% [markdown]
# ## 再看那一页
#
# 注意力和层都是第 4 课里的，只是去掉了 dropout，因为这里只计算，不训练。参数取自包里的模型。


# %%
class SelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.query, self.key, self.value, self.mix = (nn.Linear(config.hidden_size, config.hidden_size) for _ in "qkvm")
        self.heads = config.num_attention_heads

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # (B, S, D), (B, S) -> (B, S, D)
        q, k, v = (f(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        scores = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).masked_fill(~mask[:, None, None], -math.inf)
        return self.mix((scores.softmax(dim=3) @ v).transpose(1, 2).flatten(2))


# %%
class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        D, inner = config.hidden_size, config.intermediate_size
        self.attention = SelfAttention(config)
        self.feed_forward = nn.ModuleDict({"up": nn.Linear(D, inner), "down": nn.Linear(inner, D)})
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(D, eps=1e-12), nn.LayerNorm(D, eps=1e-12)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # 形状为 (..., D)，注意力能处理的都行
        x = self.attention_norm(x + self.attention(x, mask))
        return self.feed_forward_norm(x + self.feed_forward.down(nn.functional.gelu(self.feed_forward.up(x))))


# %%
def with_the_package_s_parameters(kind: type[nn.Module]) -> nn.ModuleList:
    layers = nn.ModuleList(kind(package.config) for _ in package.bert.encoder.layer).requires_grad_(False).eval()
    for layer, block in zip(layers, package.bert.encoder.layer, strict=True):
        layer.load_state_dict({name: block.get_parameter(name) for name, _ in layer.named_parameters()})
    return layers


padded_layers = with_the_package_s_parameters(Layer)

# %% [markdown]
# ## 填充要花多少
#
# 我们抽取 64 段文本，长度像真实的文本集那样：短的很多，长的很少。词是什么不影响开销，所以用随机的词。图中每行是一段文本，深色是词元，白色是填充，白色的也要计算。$T$ 个词元放在 $B \times S$ 个格子的矩形里：
#
# $$ \text{填充} = 1 - \frac{T}{B\,S} \qquad T = \sum_b n_b \qquad S = \max_b n_b $$
#
# | 符号 | 代码里 | 含义 |
# | --- | --- | --- |
# | $n_b$ | `lengths[b]` | 文本 $b$ 的词元数 |
# | $B, S$ | `token_ids.shape` | 文本数，和最长一段的长度 |
# | $T$ | `mask.sum()` | 真实的词元数 |

# %%
generator = torch.Generator().manual_seed(0)
lengths = (14 * torch.randn(64, generator=generator).mul(0.9).exp()).long().clamp(5, 128)
B, S, T = len(lengths), int(lengths.max()), int(lengths.sum())
mask = torch.arange(S) < lengths[:, None]  # (B, S)
token_ids = torch.randint(5, len(tokenizer), (B, S), generator=generator) * mask  # 0 是 [PAD]
print(f"{B} texts of {lengths.min()} to {S} tokens: {T:,} tokens, {B * S:,} places, {1 - T / (B * S):.0%} padding")
assert tokenizer.pad_token_id == 0 and T < B * S / 3

# %%
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
image = ax.imshow(mask.numpy(), cmap="Blues", vmax=1.4, aspect="auto", interpolation="nearest")
title = ax.set(xlabel="position", ylabel="text", title="what is computed: dark are tokens, white is padding")


# %%
def embed(token_ids: Tensor, positions: Tensor) -> Tensor:
    return package.bert.embeddings(token_ids, torch.zeros_like(token_ids), positions)


def run_padded(token_ids: Tensor, mask: Tensor) -> Tensor:
    x = embed(token_ids, torch.arange(token_ids.shape[1]).expand_as(token_ids))  # (B, S, D)
    for layer in padded_layers:
        x = layer(x, mask)
    return x


# %% [markdown]
# ### 先用循环
#
# 最简单的办法是每段文本单独计算。没有填充，结果也不变：

# %%
padded = run_padded(token_ids, mask)
for b in range(B):
    n = int(lengths[b])
    single = run_padded(token_ids[b : b + 1, :n], mask[b : b + 1, :n])
    torch.testing.assert_close(single[0], padded[b, :n])
print("each text alone gives what it gives in the batch")

# %% [markdown]
# 可是矩阵太小，处理器吃不饱。能不能两全其美：矩阵大，又没有填充？
#
# ## 只有注意力需要知道
#
# 看看 BERT 的各个部分。嵌入、LayerNorm、前馈网络、注意力里的投影，全都是逐个词元处理的（“applied to each position separately and identically”，Vaswani et al. 2017，第 3.3 节）。它们不关心词元在哪段文本里，甚至不关心有没有文本。只有在查询遇到键的地方，才需要知道哪些词元属于同一段文本。
#
# 那就不要矩形了。批次变成一个很长的矩阵 `(T, D)`，里面都是真实的词元，一段文本接着一段。除了注意力的中间部分，其余计算都可以直接在它上面做。注意力的中间部分则一段一段地算：


# %%
class PackedAttention(SelfAttention):
    def forward(self, x: Tensor, lengths: list[int]) -> Tensor:  # (T, D) -> (T, D)
        q, k, v = (f(x).unflatten(1, (self.heads, -1)) for f in (self.query, self.key, self.value))  # (T, H, K)
        contexts = []
        for texts in zip(*(part.split(lengths) for part in (q, k, v)), strict=True):
            query, key, value = (part.transpose(0, 1) for part in texts)  # (H, n, K)
            weights = (query @ key.transpose(1, 2) / math.sqrt(query.shape[2])).softmax(dim=2)
            contexts.append((weights @ value).transpose(0, 1).flatten(1))
        return self.mix(torch.cat(contexts))


# %%
class PackedLayer(Layer):
    def __init__(self, config):
        super().__init__(config)
        self.attention = PackedAttention(config)  # 其余照旧


packed_layers = with_the_package_s_parameters(PackedLayer)


def run_packed(token_ids: Tensor, mask: Tensor) -> Tensor:
    x = embed(token_ids[mask], torch.arange(mask.shape[1]).expand_as(mask)[mask])  # (T, D)
    for layer in packed_layers:
        x = layer(x, mask.sum(dim=1).tolist())
    return x


# %%
packed = run_packed(token_ids, mask)
torch.testing.assert_close(packed, padded[mask])
print(f"{tuple(padded.shape)} became {tuple(packed.shape)}, and every token has the vector that it had")

# %% [markdown]
# ## 等长的文本放在一起
#
# 还有一处可以改进：在每一层里，注意力的中间部分要运行 64 次，每次都是小矩阵。但是**等长**的文本不用填充就能拼成矩形。所以把文本按长度排序，每种长度只让注意力运行一次。minibert 在 CPU 上就是这样做的。它的 `Packing` 记着次序，也知道怎样变过去、再变回来：

# %%
packing = Packing.from_mask(mask, B, S)
print(f"{len(packing.groups)} groups instead of {B} texts; (texts, tokens each): {packing.groups[:5]} …")
flat = packing.flatten(token_ids)  # (T,)，按长度排好序
assert flat.shape == (T,) and torch.equal(packing.unflatten(flat), token_ids)
assert torch.equal(packing.unflatten(packing.flatten(mask.long())), mask.long())
theirs = package.bert(token_ids, mask.long()).last_hidden_state
torch.testing.assert_close(theirs[mask], packed)
print("equal to the package")

# %% [markdown]
# 参考实现计算的是带填充的矩形。在真实的词元上，结果相同：

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    reference = transformers.BertForPreTraining.from_pretrained(local_folder(MODEL)).float().eval()
    expected = reference.bert(token_ids, attention_mask=mask.long()).last_hidden_state.detach()
    torch.testing.assert_close(expected[mask], packed)
    print("equal to the reference")

# %% [markdown]
# ## 换来了什么
#
# 我们在你的机器上给四种办法计时：padded（填充）、each text alone（每段单独算）、packed（打包）和 package（minibert 自己的），每种五次，取最快的一次。（这里保存的数字来自一台服务器的两个核，你的会不一样。）


# %%
def alone(token_ids: Tensor, mask: Tensor) -> list[Tensor]:
    return [run_padded(ids[None, :n], real[None, :n]) for ids, real, n in zip(token_ids, mask, lengths, strict=True)]


def seconds(function, times: int = 5) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        function(token_ids, mask)
        taken.append(time.perf_counter() - start)
    return min(taken)


# %%
ways = {"padded": run_padded, "each text alone": alone, "packed": run_packed}
ways["package"] = lambda token_ids, mask: package.bert(token_ids, mask.long())
speed = {name: T / seconds(way) for name, way in ways.items()}
for name, tokens_per_second in speed.items():
    print(f"{name:15} {tokens_per_second:8,.0f} real tokens per second")
assert speed["packed"] > speed["padded"] and speed["package"] > speed["padded"]

# %%
figure, ax = plt.subplots(figsize=(6.5, 2.2), layout="constrained")
bars = ax.barh(list(speed), list(speed.values()), color=["#d98032", "#9db8d2", "#9db8d2", "#1b3a5c"])
labelled = ax.bar_label(bars, labels=[f"{value / speed['padded']:.1f}×" for value in speed.values()], padding=3)
ax.set(xlabel="real tokens per second", xlim=(0, 1.15 * max(speed.values())))
ax.invert_yaxis()

# %% [markdown]
# 代价是什么？前向计算略微难读一些，因为注意力要把词元按文本切开，再接起来。要看模型内部，看到的是词元，不是文本，得用 `unflatten`。而且如果所有文本一样长，打包就没有好处。minibert 把这份代价集中在一个文件里，模型的其余部分读起来就像第 4 课里你写的那一页，只是 `(T, D)` 取代了 `(B, S, D)`。
#
# ## 习题
#
# 把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会说出来。圆点表示难度。提示和答案都是折叠的，点开才看得见。
#
# ### 1. `padding_share`（●○○，3 分钟）
#
# 一个批次里的文本分别有 3、9、5 和 7 个词元。填充占格子的多大份额？
#
# <details><summary>提示</summary>
#
# 每段文本都变得和最长的一样长。
# </details>
# <details><summary>答案</summary>
#
# ```python
# padding_share = 1 - (3 + 9 + 5 + 7) / (4 * 9)
# ```
# </details>

# %%
padding_share = None  # 一个数
check("padding_share", padding_share)

# %% [markdown]
# ### 2. `unpack`（●○○，5 分钟）
#
# 写出回去的路：把 `flat` `(T, D)` 的各行放回 `mask` `(B, S)` 为真的位置，其余是零，返回 `(B, S, D)`。
#
# <details><summary>提示</summary>
#
# 能用掩码读出的 `x[mask]`，也能用掩码写入。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def unpack(flat, mask):
#     result = torch.zeros(*mask.shape, flat.shape[1])
#     result[mask] = flat
#     return result
# ```
# </details>


# %%
def unpack(flat, mask):
    pass  # 你的代码


check("unpack", unpack)

# %% [markdown]
# ### 3. `batches`（●●○，10 分钟）
#
# 没有打包的时候，把长度相近的文本放进一个批次也有好处。把 `lengths` 排序，从最短的开始切成批次，每个批次尽量大，但格子数（文本数 × 最长的长度）不超过 `places`。返回列表的列表。
#
# <details><summary>提示</summary>
#
# 在排好序的列表里，下一段文本总是到目前为止最长的。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def batches(lengths, places):
#     result = [[]]
#     for n in sorted(lengths):
#         if (len(result[-1]) + 1) * n > places:
#             result.append([])
#         result[-1].append(n)
#     return result
# ```
# </details>


# %%
def batches(lengths, places):
    pass  # 你的代码


check("batches", batches)
