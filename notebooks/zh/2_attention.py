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
# # 2 · 注意力：每个词元提问，每个词元回答
#
# [English](../2_attention.ipynb)
#
# > **问题**：一个词怎样向同一句里的其他词学习，不管它们是近是远？
#
# - **需要**：第 1 课；softmax（把分数变成加起来等于一的份额）；点积。
# - **学完以后**：能手算注意力，能把向量切成头再合并，说得出为什么要除以 $\sqrt K$，会用掩码挡住填充。
# - **时间**：40 分钟，习题另需 18 分钟。这一课最长，也最重要。
#
# 到目前为止，每个词元只知道自己。在 “The file is opened for reading” 里，*opened*（打开）应当知道：打开的是 **file**（文件），目的是 **reading**（读取）。于是，每个词元都提出一个问题（它的**查询**），每个词元也都举着一块牌子，写着自己能提供什么（它的**键**）。哪块牌子合乎问题，举牌的词元就把自己的信息交出去（它的**值**）。一共五步：
#
# 1. 查询、键和值 · 2. 分数 · 3. softmax · 4. 权重乘以值 · 5. 输出投影与残差
#
# 这样的一套问法，连同自己的查询、键和值，叫作一个**注意力头**。BERT 并排放着好几个，一个词元就可以同时问几个问题。（第 0 课里的“头”是另一回事：那是主体顶上给出答案的部分。）我们先用一个头把这五步走一遍，边走边打印数字；再让所有的头一起算。
#
# ![查询、键和值，切成头，再合并](../../docs/images/diagrams/attention-heads.zh.svg)

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
from torch import Tensor, nn

from minibert import BertForPreTraining, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course.zh import check
from minibert.model.attention import fused_attention, scaled_dot_product_attention

# %%
MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
model = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)

# %% [markdown]
# 我们从 `x` 开始，它就是上一课最后得到的：九个词元，每个一行，128 个数。

# %%
sentence = "The file is opened for reading."
tokens = tokenizer.tokenize(sentence, add_special_tokens=True)
token_ids = torch.tensor(tokenizer.convert_tokens_to_ids(tokens))  # (T,)
T = len(tokens)
x = model.bert.embeddings(token_ids, torch.zeros_like(token_ids), torch.arange(T))  # (T, D)
attention = model.bert.encoder.layer[0].attention
D, H = x.shape[1], attention.num_heads
K = D // H
print(f"{T} tokens of D = {D} numbers, H = {H} heads of K = {K} each")

# %% [markdown]
# 下面就是我们要算的公式，论文里省略的偏置也写上了（Vaswani et al. 2017，第 3.2.1 和 3.2.2 节）：
#
# $$ q_i = W^Q x_i + b^Q \qquad k_j = W^K x_j + b^K \qquad v_j = W^V x_j + b^V $$
#
# $$ s_{ij} = \frac{q_i \cdot k_j}{\sqrt{K}} \qquad a_{ij} = \frac{e^{s_{ij}}}{\sum_{j'} e^{s_{ij'}}}
# \qquad c_i = \sum_j a_{ij} v_j $$
#
# $$ y_i = x_i + W^O \, [c_i^{1}; \ldots; c_i^{H}] + b^O $$
#
# | 符号 | 代码里 | 形状 | 含义 |
# | --- | --- | --- | --- |
# | $x_i$ | `x[i]` | $(D)$ | 词元 $i$ |
# | $W^Q, b^Q$ | `query_weight`, `query_bias` | $(K, D)$, $(K)$ | `attention.query` 中属于一个头的那些行 |
# | $q_i, k_j, v_j$ | `queries[i]`, `keys[j]`, `values[j]` | $(K)$ | $i$ 问什么，$j$ 有什么，$j$ 给什么 |
# | $s_{ij}, a_{ij}$ | `scores[i, j]`, `weights[i, j]` | | 两者有多合；$i$ 从 $j$ 那里取多大的份额 |
# | $c_i$ | `context[i]` | $(K)$ | $i$ 得到的值的混合，每个头一份 |
# | $W^O, b^O$ | `attention.mix` | $(D, D)$, $(D)$ | 把各个头混合起来 |
#
# ## 一个头，一次算一个数
#
# ### 第一步：每个词元的查询、键和值
#
# 三个投影各有 128 行，一个头占其中的 $K = 32$ 行。四个头里，我们取第三个，也就是 2 号头。

# %%
head = 2
rows = slice(head * K, (head + 1) * K)
query_weight, query_bias = attention.query.weight[rows], attention.query.bias[rows]  # (K, D), (K,)
queries = torch.empty(T, K)
for i in range(T):
    for k in range(K):
        queries[i, k] = sum(query_weight[k] * x[i]) + query_bias[k]
keys = x @ attention.key.weight[rows].T + attention.key.bias[rows]  # 同样的计算，一行写完
values = x @ attention.value.weight[rows].T + attention.value.bias[rows]
torch.testing.assert_close(queries, x @ query_weight.T + query_bias)

# %% [markdown]
# ### 第二步：分数
#
# 一个键与一个查询有多合？它们的分数就是两者的点积：方向越一致，分数越大。然后除以 $\sqrt{K}$，原因后面会看到。来看看每个键与 *opened* 的问题有多合：

# %%
scores = torch.empty(T, T)
for i in range(T):
    for j in range(T):
        scores[i, j] = sum(queries[i] * keys[j]) / math.sqrt(K)
opened = tokens.index("opened")
for token, score in zip(tokens, scores[opened], strict=True):
    print(f"opened → {token:8} {score:6.2f}")

# %% [markdown]
# ### 第三步：softmax
#
# 一个词元不能把谁的东西都拿走，它得分配自己的注意力。softmax 把分数变成份额：都是正数，加起来等于一。它作用于表的每一**行**，因为是查询在各个键之间分配注意力。

# %%
weights = torch.empty(T, T)
for i in range(T):
    powers = [math.exp(score) for score in scores[i]]
    weights[i] = torch.tensor([power / sum(powers) for power in powers])
for token, weight in zip(tokens, weights[opened], strict=True):
    print(f"opened → {token:8} {weight:6.1%}  {'█' * round(40 * weight.item())}")
torch.testing.assert_close(weights.sum(dim=1), torch.ones(T))
assert tokens[weights[opened].argmax()] == "file"

# %% [markdown]
# 找到了：*opened* 的注意力几乎都给了 **file**。这个头总是去问左边第二个词元。去找 *reading* 的头，在后面的图里。
#
# ### 第四步：权重乘以值
#
# 现在，值要交出来了。*opened* 得到的，是所有词元的值按这些份额的混合：

# %%
context = torch.zeros(T, K)
for i in range(T):
    for j in range(T):
        context[i] += weights[i, j] * values[j]
print("opened, the first six of its 32 numbers:", *(f"{number:6.3f}" for number in context[opened, :6]))

# %% [markdown]
# ### 第五步：输出投影与残差
#
# 一个头要说的有 $K$ 个数，词元却有 $D$ 维；输出投影把这 $K$ 个数变回 $D$ 维。一个头只用到 $W^O$ 中自己的那 $K$ 列，所以每个头都是在往词元上**加**一点东西，互不相干。这个和再加到词元原来的向量上，这叫**残差连接**：注意力改变词元，但不取代它。

# %%
columns = rows  # 输出投影的输入中的列
contribution = context @ attention.mix.weight[:, columns].T  # (T, K) @ (K, D) -> (T, D)
y = x + contribution  # 只有一个头；另外三个头和偏置在下面
print("opened before:", *(f"{number:6.3f}" for number in x[opened, :6]))
print("the head adds:", *(f"{number:6.3f}" for number in contribution[opened, :6]))
print("opened after: ", *(f"{number:6.3f}" for number in y[opened, :6]))

# %% [markdown]
# ## 用矩阵算一个头
#
# 循环看得清楚，跑得慢。其实那些循环不过是矩阵乘法：第二到第四步合起来，就是论文的公式 1：
#
# $$ \mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{d_k}}\right) V $$
#
# （这是论文的写法：那里的 $K$ 是所有键排成的矩阵，$d_k$ 是一个头的大小，也就是我们的 $K$。）

# %%
matrix_weights = (queries @ keys.T / math.sqrt(K)).softmax(dim=-1)
torch.testing.assert_close(matrix_weights, weights)
torch.testing.assert_close(matrix_weights @ values, context)

# 软件包的函数接收带头的一批序列，形状是 (B, H, S, K)；这里 B 和 H 都是 1。
batch_of_one = [matrix[None, None] for matrix in (queries, keys, values)]
package_context, package_weights = scaled_dot_product_attention(*batch_of_one)
torch.testing.assert_close(package_context[0, 0], context)
torch.testing.assert_close(package_weights[0, 0], weights)

# %% [markdown]
# ### 为什么要除以 $\sqrt K$？
#
# 两个各有 $K$ 个数的随机向量，点积的标准差是 $\sqrt K$。如果不除，头越大，分数就越大，softmax 会把全部注意力给一个词元。这时分数变动一点点，什么也不会改变；而训练靠的正是一点一点的变动，这个头也就学不会去看别处（论文第 3.2.1 节，脚注 4）。试试看：

# %%
generator = torch.Generator().manual_seed(0)
for size in (4, 64, 1024):
    a, b = torch.randn(2, 2000, 9, size, generator=generator)
    products = (a[:, :1] @ b.transpose(1, 2))[:, 0]  # (2000, 9)：一个查询遇上九个键，共 2000 次
    plain, scaled = products.softmax(-1).amax(-1).mean(), (products / math.sqrt(size)).softmax(-1).amax(-1).mean()
    print(f"K = {size:4}: deviation {products.std():5.1f}, largest weight {plain:.0%}, scaled {scaled:.0%}")
    assert abs(products.std() / math.sqrt(size) - 1) < 0.05

# %% [markdown]
# 在输出里，`deviation` 是标准差，`largest weight` 是不除时最大的权重，`scaled` 是除过以后的。头大到 1024 维时，不除的话，注意力几乎全给了一个词元；除过以后，大小不再有影响。
#
# ## 所有的头一起算
#
# 一个头找到了 *file*。还想找到 *reading*，词元就得再提一个问题。所以 BERT 并排放了几个头：四个小头并不比一个大头更费事。要让它们一起算，就把 128 个数切成 4 × 32，再把“头”这一维移到“词元”前面，让每个头成为一个独立的矩阵：
#
# `(T, D)` → 看成 `(T, H, K)` → 转置成 `(H, T, K)`
#
# 不要走捷径，直接看成 `(H, T, K)`：形状对，数却是错的，因为它会顺着词元切下去，把不同词元的数混在一起。


# %%
def split_heads(matrix: Tensor) -> Tensor:
    """(T, D) -> (H, T, K)"""
    return matrix.view(T, H, K).transpose(0, 1)


query, key, value = (split_heads(linear(x)) for linear in (attention.query, attention.key, attention.value))
torch.testing.assert_close(query[head], queries)
all_weights = (query @ key.transpose(-2, -1) / math.sqrt(K)).softmax(dim=-1)  # (H, T, T)
contexts = all_weights @ value  # (H, T, K)

# %%
figure, axes = plt.subplots(1, H, figsize=(11, 3.2), sharey=True, layout="constrained")
for number, ax in enumerate(axes):
    image = ax.imshow(all_weights[number].numpy(), cmap="Blues", vmin=0, vmax=1)
    ax.set(title=f"head {number}", xlabel="key", xticks=range(T), yticks=range(T), yticklabels=tokens)
    ax.set_xticklabels(tokens, rotation=90)
axes[0].set_ylabel("query")
bar = figure.colorbar(image, ax=axes, label="attention weight")
finds = [tokens[row.argmax()] for row in all_weights[:, opened]]
assert finds == ["is", "for", "file", "reading"]
print("opened looks most at:", ", ".join(f"{found} (head {number})" for number, found in enumerate(finds)))

# %% [markdown]
# 纵轴是提问的词元（query），横轴是被问的词元（key）。一行一行地读，从左往右：这个词元在看哪里？在 *opened* 那一行，0 号头和 1 号头看两旁的 *is* 和 *for*，2 号头看 **file**，3 号头看 **reading**。
#
# 这是模型自己发现的吗？只有一部分是。预训练**开始**时，我们就让这一层的四个头分别看左边、右边的第一个和第二个位置；训练再把有用的留下来。这样的开头值多少，第 7 课会看到。第 9 课会看到自己找到分工的头，还会问：头看到的东西，模型拿它做了什么？这是另一个问题。
#
# ### 合并各头
#
# 合并是反过来走：先转置，再把一个词元的各个头并排放好。每个头只用到 $W^O$ 中自己的列，所以合并以后的投影，就等于各个头所加的东西之和，再加偏置：

# %%
merged = contexts.transpose(0, 1).reshape(T, D)  # (H, T, K) -> (T, H, K) -> (T, D)
output = merged @ attention.mix.weight.T + attention.mix.bias
parts = [contexts[h] @ attention.mix.weight[:, h * K : (h + 1) * K].T for h in range(H)]
torch.testing.assert_close(output, sum(parts) + attention.mix.bias)
torch.testing.assert_close(parts[head], contribution)
print("lengths of what the heads add to opened:", *(f"{part[opened].norm():.2f}" for part in parts))

# %% [markdown]
# ## 几段文本一起算，用掩码
#
# 几段文本一起算，会快一些，可是它们长短不一。短的用 `[PAD]` 补齐，这个词元没有任何意义；**掩码**说明哪些是真正的词元。谁也不许看填充：在 softmax **之前**，把被挡住的键的分数改成 $-\infty$，它的份额就正好是零，其余的键照样分到一。
#
# 模块接收一个批次 `(B, S, D)`，也就是 B 段文本，每段 S 个位置，还有掩码 `(B, S)`：


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


# %% [markdown]
# 它和软件包的一样吗？要比较，就运行整个模型，并在它的第一个注意力处听一听。（**钩子**，hook，是一个函数：模块每算出一个结果，PyTorch 就把结果交给它。）

# %%
ours = OurSelfAttention(D, H)
ours.load_state_dict({name: attention.get_parameter(name) for name, _ in ours.named_parameters()})
heard = {}
hook = attention.register_forward_hook(lambda module, inputs, output: heard.update(theirs=output[0]))
outputs = model(token_ids[None], output_attentions=True)
hook.remove()
one_text = ours(x[None], torch.ones(1, T, dtype=torch.bool))
torch.testing.assert_close(one_text[0], heard["theirs"])
torch.testing.assert_close(output, heard["theirs"])
torch.testing.assert_close(all_weights, outputs.attentions[0][0])

# %% [markdown]
# 现在算两段文本，一段九个词元，一段五个。短的那段，结果应当像另一段不存在一样。填充处放什么，也应当没有影响；这里放的是很大的随机数。

# %%
mask = torch.tensor([[True] * T, [True] * 5 + [False] * (T - 5)])  # (B, S)
padded = torch.stack([x, x])
padded[1, 5:] = 100 * torch.randn(T - 5, D, generator=torch.Generator().manual_seed(0))
together = ours(padded, mask)  # (B, S, D)
torch.testing.assert_close(together[0], one_text[0])
torch.testing.assert_close(together[1, :5], ours(x[None, :5], mask[:1, :5])[0])
print("hiding keys is the same as not having them")

# %% [markdown]
# `minibert` 里，同一个公式写了两遍：一遍像上面那样逐步写出；另一遍直接调用 PyTorch 自带的实现（`fused_attention`），它从不存下整张权重表，所以更快。两者都与我们的结果一致，也与 `transformers` 一致：

# %%
twice, hidden_last = [matrix[None] for matrix in (query, key, value)], torch.tensor([[True] * (T - 1) + [False]])
explicit, shares = scaled_dot_product_attention(*twice, hidden_last)
torch.testing.assert_close(fused_attention(*twice, hidden_last)[0], explicit)
assert (shares[..., -1] == 0).all()

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    reference = transformers.BertForPreTraining.from_pretrained(local_folder(MODEL), attn_implementation="eager")
    block = reference.float().eval().bert.encoder.layer[0].attention
    expected = block.output.dense(block.self(x[None])[0]).detach()
    torch.testing.assert_close(expected, one_text)
    print("equal to the reference")

# %% [markdown]
# ## 习题
#
# 把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会说出来。圆点表示难度。提示和答案都是折叠的，点开才看得见。
#
# **默写**：合上笔记本，再写 `scaled_dot_product_attention`（●●●，15 分钟）、`split_heads`（●○○，5 分钟）、`merge_heads`（●○○，5 分钟）。`from minibert.course.zh import task; task("scaled_dot_product_attention")` 会把题目打印出来。
#
# ### 1. `attend`（●●○，6 分钟）
#
# 由一个查询 `(K)` 和全部的键与值 `(T, K)`，算出它的上下文 `(K)`。
#
# <details><summary>提示</summary>
#
# 分数是矩阵与向量的一次乘法。除以 $\sqrt{K}$，做 softmax，再用权重把值混合起来。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def attend(q, keys, values):
#     return (keys @ q / math.sqrt(len(q))).softmax(dim=0) @ values
# ```
# </details>


# %%
def attend(q, keys, values):
    pass  # 你的代码


check("attend", attend)

# %% [markdown]
# ### 2. `attention_entropy`（●●○，8 分钟）
#
# 一个查询的注意力散得有多开？由 `weights` `(..., T)` 算出每一行的熵 $-\sum_j a_{ij} \ln a_{ij}$，形状是 `(...)`；权重为零的项算作零。
#
# <details><summary>提示</summary>
#
# 在计算机看来，$0 \cdot \ln 0$ 不是一个数。`torch.where` 可以在那里填上零。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def attention_entropy(weights):
#     return -torch.where(weights > 0, weights * weights.log(), 0.0).sum(dim=-1)
# ```
# </details>


# %%
def attention_entropy(weights):
    pass  # 你的代码


check("attention_entropy", attention_entropy)

# %% [markdown]
# ### 3. `join_heads`（●○○，4 分钟）
#
# **不用**转置来合并各头：由 `context`，也就是 $H$ 个矩阵 `(T, K)` 的列表，得到 `(T, D)`。
#
# <details><summary>提示</summary>
#
# 每个词元的那一行，开头是 0 号头的那一行，接着是 1 号头的。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def join_heads(context):
#     return torch.cat(context, dim=-1)
# ```
# </details>


# %%
def join_heads(context):
    pass  # 你的代码


check("join_heads", join_heads)
