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
# # 3 · 编码器层：沿着残差流走的一个向量
#
# [English](../3_encoder_layer.ipynb)
#
# > **问题**：词元从别处收集来了信息，拿它做什么？
#
# - **需要**：第 1 课和第 2 课。
# - **学完以后**：能写出前馈网络和完整的编码器层，说得出什么是 GELU，会跟着一个向量走过所有的层。
# - **时间**：25 分钟，习题另需 17 分钟。
#
# 注意力让词元互相交换所知。然后，**前馈**网络让每个词元独自琢磨自己得到的东西。两者都是往词元的向量上**加**。所以，每个词元只有一个向量，从头到尾流过整个模型；每个部分都从中读取，再加上一点：这就是**残差流**。（BERT 的残差流并不是一路不受打扰：每次相加以后，都有一个层归一化来调整它的大小。）
#
# ![残差流](../../docs/images/diagrams/residual-stream.zh.svg)
#
# 我们跟着一个向量走，它属于一个被遮住的词。到第 4 课，会看到它怎样从“这里缺一个词”变成 *reading*。
#
# > **The file is opened for [MASK].**

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

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert import BertForPreTraining, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course.zh import check

# %%
MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
model = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)

# %% [markdown]
# 先把已经写好的部分拿来。嵌入就是第 1 课的嵌入；下面是第 2 课的注意力，一字不改：


# %%
class OurSelfAttention(nn.Module):
    def __init__(self, hidden: int, heads: int):
        super().__init__()
        self.query, self.key, self.value, self.mix = (nn.Linear(hidden, hidden) for _ in range(4))
        self.heads = heads

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # (B, S, D), (B, S) -> (B, S, D)
        q, k, v = (f(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        scores = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).masked_fill(~mask[:, None, None], -math.inf)
        return self.mix((scores.softmax(dim=3) @ v).transpose(1, 2).flatten(2))


# %%
tokens = tokenizer.tokenize("The file is opened for [MASK].", add_special_tokens=True)
token_ids = torch.tensor(tokenizer.convert_tokens_to_ids(tokens))  # (T,)
T, hidden_token = len(tokens), tokens.index("[MASK]")
mask = torch.ones(1, T, dtype=torch.bool)  # 一段文本，没有填充
start = model.bert.embeddings(token_ids, torch.zeros_like(token_ids), torch.arange(T))  # (T, D)
layer = model.bert.encoder.layer[0]
attention = OurSelfAttention(model.config.hidden_size, model.config.num_attention_heads)
attention.load_state_dict({name: layer.attention.get_parameter(name) for name, _ in attention.named_parameters()})
x, attended = start, attention(start[None], mask)[0].detach()  # 各为 (T, D)
print(*(f"{number:.2f}" for number in x[hidden_token, :10]), "... : the vector of [MASK] at the start")

# %% [markdown]
# 一层的公式如下（Vaswani et al. 2017，第 3.1 和 3.3 节，公式 2；ReLU 换成了 GELU，见 Devlin et al. 2019，附录 A.2）：
#
# $$ y = \mathrm{LayerNorm}_1\big(x + \mathrm{Attention}(x)\big) $$
#
# $$ \mathrm{FFN}(y) = W_2 \, \mathrm{gelu}(W_1 y + b_1) + b_2
# \qquad \mathrm{gelu}(u) = u \cdot \tfrac12 \Big(1 + \mathrm{erf}\frac{u}{\sqrt 2}\Big) $$
#
# $$ z = \mathrm{LayerNorm}_2\big(y + \mathrm{FFN}(y)\big) $$
#
# | 符号 | 代码里 | 形状 | 含义 |
# | --- | --- | --- | --- |
# | $x, y, z$ | `x`, `y`, `z` | 每个词元 $(D)$ | 之前，中间，之后 |
# | $\mathrm{Attention}$ | `layer.attention` | | 各个头与输出投影，第 2 课 |
# | $\mathrm{LayerNorm}_1$ | `layer.attention_norm` | | 同第 1 课，但有自己的参数 |
# | $W_1, b_1$ | `up.weight`, `up.bias` | $(F, D)$, $(F)$ | $F = 512$ 个神经元，读取词元 |
# | $W_2, b_2$ | `down.weight`, `down.bias` | $(D, F)$, $(D)$ | 再写回词元 |
# | $\mathrm{LayerNorm}_2$ | `layer.feed_forward_norm` | | |
# | $\mathrm{erf}$ | `torch.erf` | | 从 −1 升到 1 的 S 形曲线，所以 $\mathrm{gelu}(u)$ 在 0 与 $u$ 之间 |
#
# 每次相加之前都有 dropout；不训练的时候，它什么也不做。
#
# ## 相加，再归一化
#
# BERT 的归一化放在相加**之后**（post-norm）。后来的许多模型把它移到注意力之前，让残差流本身不受打扰。

# %%
summed = x + attended
y = layer.attention_norm(summed)
for name, vector in (("x", x), ("what attention adds", attended), ("their sum", summed), ("y, normalised", y)):
    print(f"{name:20} length {vector[hidden_token].norm():6.2f}")

# %% [markdown]
# ## 前馈网络
#
# ### 先用循环
#
# $F$ 个神经元，每个都有两个向量：一个是它要在词元里寻找的（$W_1$ 的一行），另一个是找到以后往词元上加的（$W_2$ 的一列）。加多少，由**激活函数**决定，这里是 GELU。少了它，$W_2 W_1$ 不过是一个矩阵，两层就白叠了。所有词元都经过同一个网络，谁也看不见谁。


# %%
def gelu(u: Tensor) -> Tensor:
    return u * 0.5 * (1 + torch.erf(u / math.sqrt(2)))


up, down = layer.feed_forward.up, layer.feed_forward.down
added = down.bias.clone()  # 网络给这个词元加上的东西
activity = torch.empty(len(up.bias))
for neuron in range(len(up.bias)):
    activity[neuron] = gelu(up.weight[neuron] @ y[hidden_token] + up.bias[neuron])
    added += activity[neuron] * down.weight[:, neuron]

# %%
u = torch.linspace(-4, 4, 200)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.plot(u, gelu(u), color="#1b3a5c", label="gelu")
left.plot(u, F.relu(u), color="#d98032", linestyle="--", label="relu")
left.set(xlabel="what the neuron finds", ylabel="what it passes on", title="the activation")
left.grid(alpha=0.3)
left.legend()
right.hist(activity.numpy(), bins=40, color="#1b3a5c")
right.set(xlabel="activity", ylabel="neurons", title="the 512 neurons at [MASK]")
right.grid(alpha=0.3)

# %% [markdown]
# 左图：GELU（实线）与 ReLU（虚线），横轴是神经元找到了多少，纵轴是它传出多少。GELU 在左边几乎是零，在右边几乎就是那个数本身。右图：512 个神经元在 `[MASK]` 处的活跃程度（activity）。大多数神经元给这个词元加得很少，少数几个加得很多。
#
# ### 再用矩阵

# %%
fed = gelu(y @ up.weight.T + up.bias) @ down.weight.T + down.bias  # (T, D) -> (T, F) -> (T, D)
torch.testing.assert_close(fed[hidden_token], added)
torch.testing.assert_close(gelu(u), F.gelu(u))
z = layer.feed_forward_norm(y + fed)
print(f"added to [MASK]: length {added.norm():.2f}; z: length {z[hidden_token].norm():.2f}")

# %% [markdown]
# ### 最后写成模块


# %%
class OurLayer(nn.Module):
    def __init__(self, hidden: int, heads: int, inner: int):
        super().__init__()
        self.attention = OurSelfAttention(hidden, heads)
        self.feed_forward = nn.ModuleDict({"up": nn.Linear(hidden, inner), "down": nn.Linear(inner, hidden)})
        self.attention_norm, self.feed_forward_norm = (nn.LayerNorm(hidden, eps=1e-12) for _ in "yz")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # (B, S, D), (B, S) -> (B, S, D)
        y = self.attention_norm(x + self.attention(x, mask))
        return self.feed_forward_norm(y + self.feed_forward.down(gelu(self.feed_forward.up(y))))


# %% [markdown]
# 要比较，就为软件包的每一层各建一个我们的层，装入它的参数。给模型传入 `output_hidden_states`，它就会把每一层的输出都告诉我们。

# %%
ours = []
for block in model.bert.encoder.layer:
    sizes = model.config.hidden_size, model.config.num_attention_heads, model.config.intermediate_size
    ours.append(OurLayer(*sizes).requires_grad_(False).eval())
    ours[-1].load_state_dict({name: block.get_parameter(name) for name, _ in ours[-1].named_parameters()})
theirs = model(token_ids[None], output_hidden_states=True).hidden_states  # L + 1 个 (1, T, D)
torch.testing.assert_close(ours[0](start[None], mask), theirs[1])
torch.testing.assert_close(z, theirs[1][0])
print("equal to minibert.model.encoder.EncoderLayer")

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    reference = transformers.BertForPreTraining.from_pretrained(local_folder(MODEL)).float().eval()
    expected = reference.bert.encoder.layer[0](start[None])[0].view(T, -1)
    torch.testing.assert_close(expected.detach(), z)
    print("equal to the reference")

# %% [markdown]
# ## 走完全程
#
# BERT 就是一摞这样的层。我们的有两层，BERT-base 有十二层。下面列出 `[MASK]` 的向量经过的每一站，以及它离出发时的方向转开了多远：

# %%
stations, x = {"embeddings": start}, start[None]
for number, block in enumerate(ours):
    after_attention = block.attention_norm(x + block.attention(x, mask))
    x = block(x, mask)
    stations |= {f"attention {number}": after_attention[0], f"feed-forward {number}": x[0]}
turned = [F.cosine_similarity(v[hidden_token], start[hidden_token], dim=0).item() for v in stations.values()]
for name, cosine in zip(stations, turned, strict=True):
    print(f"{name:15} cosine with the start {cosine:5.2f}")
torch.testing.assert_close(x, theirs[-1])

# %% [markdown]
# 到现在为止，只看到一个向量在转。它是在转**向**什么吗？到了终点，它应该说得出缺的是哪个词。所以，在每一站都拿它与真正的词 *reading* 的两个向量比较（取自没有遮住任何词的句子）：虚线比的是嵌入层输出的向量，实线比的是**最后一层**输出的向量。

# %%
full = tokenizer("The file is opened for reading.", return_tensors="pt")
truth = model(**full, output_hidden_states=True).hidden_states  # 出自没有空的句子
towards_end = [F.cosine_similarity(v[hidden_token], truth[-1][0, hidden_token], dim=0) for v in stations.values()]
towards_word = [F.cosine_similarity(v[hidden_token], truth[0][0, hidden_token], dim=0) for v in stations.values()]
figure, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
ax.plot(list(stations), towards_end, "o-", color="#1b3a5c", label="“reading” out of the last layer")
ax.plot(list(stations), towards_word, "s--", color="#d98032", label="“reading” out of the embeddings")
ax.set(xlabel="station of the vector of [MASK]", ylabel="cosine similarity", ylim=(-0.3, 1))
legend = ax.legend(), ax.grid(alpha=0.3)
assert towards_end[-1] == max(towards_end) and towards_end[-1] > 0.5

# %% [markdown]
# 被遮住的词，向量最后停在那个词本身会停下的地方附近，虽然模型从没看见那个词。还缺一样东西：从向量里把词读出来。这是下一课里“头”的工作。
#
# ## 习题
#
# 把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会说出来。圆点表示难度。提示和答案都是折叠的，点开才看得见。
#
# **默写**：合上笔记本，再写 `encoder_layer`（●●●，20 分钟）。`from minibert.course.zh import task; task("encoder_layer")` 会把题目打印出来。
#
# ### 1. `layer_parameters`（●○○，5 分钟）
#
# BERT-base 的一层有多少参数（$D = 768$，$F = 3072$）？所有权重和偏置，连同两个层归一化，都要算。
#
# <details><summary>提示</summary>
#
# 四个 $D \times D$ 的矩阵，各带偏置（查询、键、值、混合）；一个 $D \to F$，一个 $F \to D$；两个层归一化。
# </details>
# <details><summary>答案</summary>
#
# ```python
# layer_parameters = 4 * (768 * 768 + 768) + (768 * 3072 + 3072) + (3072 * 768 + 768) + 2 * 2 * 768
# ```
# </details>

# %%
layer_parameters = None  # 一个数
check("layer_parameters", layer_parameters)

# %% [markdown]
# ### 2. `gelu_tanh`（●○○，4 分钟）
#
# 谷歌的代码里，GELU 有过一种不用 erf 的写法：$0.5\,u\,\big(1 + \tanh\big(\sqrt{2/\pi}\,(u + 0.044715\,u^3)\big)\big)$。请写出来。
#
# <details><summary>提示</summary>
#
# 要用 `torch.tanh`；根号里的数是不变的，用 `math.sqrt`。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def gelu_tanh(u):
#     return 0.5 * u * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))
# ```
# </details>


# %%
def gelu_tanh(u):
    pass  # 你的代码


check("gelu_tanh", gelu_tanh)

# %% [markdown]
# ### 3. `pre_norm`（●●○，8 分钟）
#
# 写出后来的模型所用的 pre-norm 层：$y = x + \mathrm{Attention}(\mathrm{LayerNorm}_1(x))$，$z = y + \mathrm{FFN}(\mathrm{LayerNorm}_2(y))$。`x` 的形状是 `(T, D)`；其余参数都是以这种矩阵为输入的函数。
#
# <details><summary>提示</summary>
#
# 两行，每个公式一行。往上加的是 `x` 本身，不是归一化以后的。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def pre_norm(x, attention, feed_forward, norm_1, norm_2):
#     y = x + attention(norm_1(x))
#     return y + feed_forward(norm_2(y))
# ```
# </details>


# %%
def pre_norm(x, attention, feed_forward, norm_1, norm_2):
    pass  # 你的代码


check("pre_norm", pre_norm)
