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
# # 1 · 嵌入：一个词元是三次查表之和
#
# [English](../1_embeddings.ipynb)
#
# > **问题**：文本怎样变成网络能计算的数？这些数又怎样说明一个词站在**哪里**？
#
# - **需要**：第 0 课，还有张量：看见 `table[3]` 和 `a @ b` 不陌生，就可以开始了。
# - **学完以后**：能把文本切成词片，查出一个词元的三个向量并相加，把和归一化，还能证明自己写的模块与软件包的结果逐位相同。
# - **时间**：25 分钟，习题另需 22 分钟。
#
# 这一课搭的是第 0 课那张图的最底层。和后面各课一样，我们先用循环算，再用矩阵算，最后写成模块，并且**断言**：结果就是 `minibert` 算出来的。还是那个句子：
#
# > **The file is opened for reading.**

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
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert import BertForPreTraining, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course.zh import check

MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
model = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)

# %% [markdown]
# ## 从文本到数
#
# 网络只会算数。所以先把文本切成**词元**，再把每个词元换成它在**词表**里的编号。我们的词表有 8,192 个词元。每段文本以 `[CLS]` 开头，每个句子以 `[SEP]` 结束。

# %%
sentence = "The file is opened for reading."
tokens = tokenizer.tokenize(sentence, add_special_tokens=True)
token_ids = torch.tensor(tokenizer.convert_tokens_to_ids(tokens))  # (T,)
for position, (token, token_id) in enumerate(zip(tokens, token_ids.tolist(), strict=True)):
    print(f"position {position}: {token:8} → {token_id:4}")

# %% [markdown]
# 如果一个词不在词表里呢？收下所有词的词表，永远收不全；只收字母的词表，又会把文本切成又长又没有意义的序列。BERT 取中间：常见的词整个收下，少见的词用**词片**拼出来。`##` 表示这一片接在前一片之后。
#
# 中文不用空格分词，BERT 干脆不分词，每个汉字就是一个词元。这样做有好处：不必先决定“打开文件”该切成几个词，词表也不大，常用汉字只有几千个。代价是：“打开”这个词的意思，要由模型自己从“打”和“开”里读出来，而这正是后面几课的内容。
#
# 词表里该有哪些词片，是从语料中学来的：从单个字符开始，把最常相邻的一对合并成一片，如此反复。哪怕只有一个句子，也能学出一张词表：

# %%
print(tokenizer.tokenize("An unopenable file is unusable."))
chinese = "打开文件以便读取。"  # "The file is opened for reading."
little = BertTokenizer.train([chinese], vocab_size=30, min_frequency=1)
print(little.tokenize(chinese))
assert little.tokenize(chinese) == list(chinese)

# %% [markdown]
# ## 三次查表
#
# 编号只是名字：248 号词元并不是 124 号的两倍。一个词元是什么**意思**，应该由模型去学、去调整。所以词表里每个词元都有一个**向量**，也就是表中的一行：$D$ 个学出来的数。
#
# 只有词的向量还不够。“狗咬人”和“人咬狗”，用的是同样的三个字。所以第二张表给每个**位置**一个向量。第三张表说明词元属于哪个**片段**，是句子 A 还是句子 B。三个向量相加，再把和归一化：
#
# ![一个词元的向量是三个向量之和](../../docs/images/diagrams/embedding-sum.zh.svg)
#
# $$ e_t = W_{w_t} + G_{s_t} + P_t $$
#
# $$ x_t = \gamma \odot \frac{e_t - \mu_t}{\sqrt{\sigma_t^2 + \epsilon}} + \beta $$
#
# （Devlin et al. 2019，第 3 节和图 2；层归一化见 Ba, Kiros and Hinton 2016，公式 4。BERT 的论文没有提到它，代码里有。）
#
# | 符号 | 代码里 | 形状 | 含义 |
# | --- | --- | --- | --- |
# | $t$ | `position` | | 0 到 $T-1$，文本有 $T$ 个词元 |
# | $w_t$ | `token_ids[position]` | | 词元的编号 |
# | $s_t$ | `segment_ids[position]` | | 句子 A 为 0，句子 B 为 1 |
# | $W$ | `word` | $(V, D)$ | 词元表，词表的 $V$ 个词元各占一行 |
# | $G$ | `segment` | $(2, D)$ | 片段表 |
# | $P$ | `position_table` | $(M, D)$ | 位置表，文本最多 $M$ 个词元 |
# | $\mu_t, \sigma_t^2$ | `mean`, `variance` | | $e_t$ 的 $D$ 个数的均值和方差 |
# | $\gamma, \beta$ | `norm.weight`, `norm.bias` | $(D)$ | 学出来的缩放和平移；$\odot$ 表示逐个相乘 |
# | $\epsilon$ | `norm.eps` | | $10^{-12}$，避免除以零 |

# %%
embeddings = model.bert.embeddings
word, segment, position_table = embeddings.word.weight, embeddings.segment.weight, embeddings.position.weight
for name, table in (("word", word), ("segment", segment), ("position", position_table)):
    print(f"{name:8} table: {table.shape[0]:5,} rows of {table.shape[1]} numbers")
segment_ids = torch.zeros_like(token_ids)  # 只有一个句子：全都属于 A
T, D = len(tokens), word.shape[1]

# %% [markdown]
# ### 先用循环
#
# 这里只有加法，一次加一个数：

# %%
summed = torch.empty(T, D)
for position in range(T):
    for d in range(D):
        w, s = token_ids[position], segment_ids[position]
        summed[position, d] = word[w, d] + segment[s, d] + position_table[position, d]
print("file, the first six of its 128 numbers:", *(f"{number:6.3f}" for number in summed[2, :6]))

# %% [markdown]
# 把三个加数与它们的和画成图。每一行是一个词元，每一列是一维（128 维里的前 48 维）。白色是零，红色为正，蓝色为负。四幅图依次是词元（word）、片段（segment）、位置（position）与和（sum）。

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
# *segment* 的每一行都一样，因为所有词元都属于句子 A。*position* 里能看到向右移动的波纹：相邻的位置长得像。下一课就会用到这一点。
#
# 这种规律是从哪里来的？我们的训练给了它一个好的开头：位置表的前 32 维以正弦和余弦开始；词元表的其余各维，则从“哪些词常在一起出现”的计数开始。最初的 BERT 从噪声开始，规律都要自己去找。
#
# ### 再用矩阵
#
# 查表其实是一次矩阵乘法。把词元的编号写成一行：只有一个 1，其余全是零（**独热**，one-hot）；它与表相乘，正好取出那一行。没有人真的这样算，因为几乎全是在乘零。但它说明两件事：查表是线性的；训练时，表里的一行只会被用过它的词元改动（训练怎样改动这些数，第 6 课会讲）。

# %%
one_hot = F.one_hot(token_ids, num_classes=len(word)).float()  # (T, V)
looked_up = one_hot @ word  # (T, V) @ (V, D) -> (T, D)
assert torch.equal(looked_up, word[token_ids])
assert torch.equal(looked_up + segment[segment_ids] + position_table[:T], summed)
print(f"{tuple(one_hot.shape)} @ {tuple(word.shape)} = {tuple(looked_up.shape)}, the same bits as the look-up")

# %% [markdown]
# ### 层归一化
#
# 和的大小没有限制，层层叠上去，大的向量会越来越大。层归一化（LayerNorm）让它们保持在合适的范围里：对每个词元各自的 $D$ 个数，先变成均值 0、方差 1，再给每一维乘上学出来的缩放，加上学出来的平移。方差除以的是 $D$，不是 $D-1$。

# %%
norm = embeddings.norm
mean = summed.mean(dim=1, keepdim=True)  # (T, 1)
variance = ((summed - mean) ** 2).mean(dim=1, keepdim=True)
x = (summed - mean) / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias
for token, before, after in zip(tokens, summed, x, strict=True):
    print(f"{token:8} length before {before.norm():5.2f}, after {after.norm():5.2f}")
torch.testing.assert_close(x, norm(summed))

# %% [markdown]
# ### 最后写成模块
#
# 模块把几张表和对它们的操作放在一起。只有一样是新的：**dropout**。训练时，它随机把十分之一的数设为零，免得模型只依赖其中某一个；不训练的时候，它什么也不做。


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
# 它的各个部分与软件包的同名，所以可以直接接过软件包的参数。这样，结果就应当逐位相同：

# %%
ours = OurEmbeddings(len(word), len(segment), len(position_table), D).eval()
ours.load_state_dict({name: embeddings.get_parameter(name) for name, _ in ours.named_parameters()})
theirs = embeddings(token_ids, segment_ids, torch.arange(T))
assert torch.equal(ours(token_ids, segment_ids), theirs)
torch.testing.assert_close(x, theirs)
print("equal to minibert.model.embeddings.Embeddings")

# %% [markdown]
# `minibert` 的结果又与 `transformers` 的相同。这一格需要 `transformers`，它包含在可选依赖 `test` 里。没有安装的话，这一格会说明什么也没有核对。

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
# ## 三个向量各有什么用
#
# 没有位置，句子就只是一袋词：把词元打乱，得到的还是同样的向量，只是顺序乱了。位置向量之间有多像？下图给出前 24 个位置两两之间夹角的余弦；它们共有的部分，也就是均值，已经先减掉了。

# %%
directions = F.normalize(position_table[:24] - position_table[:24].mean(dim=0), dim=1)
figure, ax = plt.subplots(figsize=(4.4, 3.4), layout="constrained")
image = ax.imshow((directions @ directions.T).numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
ax.set(xlabel="position", ylabel="position", title="near positions look alike")
bar = figure.colorbar(image, label="cosine similarity")

# %% [markdown]
# 图中对角线附近最红：位置越近，向量越像。
#
# 那么词的向量呢？常与同样的词为伴的词，向量也相近。有一部分在训练之前就是这样，因为我们的向量正是从这种计数开始的。没有人告诉模型什么是文件，它只是数过、读过。


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
# ### 词的算术，和一个陷阱
#
# 你也许听说过：*king − man + woman = queen*（国王 − 男人 + 女人 = 王后）。我们的模型读的是文件，不是国王，所以我们问：*reading − read + write = ?*

# %%
result = vectors["reading"] - vectors["read"] + vectors["write"]
print("all tokens:                  ", ", ".join(nearest(result, word, 4)))
print("without those of the question:", ", ".join(nearest(result, word, 4, ("reading", "read", "write"))))
assert nearest(result, word, 1) == ["write"]
assert nearest(result, word, 1, ("reading", "read", "write")) == ["writing"]

# %% [markdown]
# 在所有词元里，最近的是 *write*，也就是我们自己放进去的词。只有把题目里的三个词都排除掉，*writing* 才胜出。那个著名的结果也是这样算的，只是很少有人说明。那么，起作用的只是词与词之间的相似，还是真有一个方向，意思就是 *-ing*？如果真有这样的方向，换成别的动词，它应该差不多：

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
# 互不相干的两步，余弦是 0；相同的两步，余弦是 1。所以在这个小模型里，这样的方向有一点痕迹，但也只是痕迹：上面的结果，多半只是因为 *write* 与 *writing* 本来就像。读得更多的大模型会好一些。相信之前，先用 `BertTokenizer` 和大模型的词元表，问一遍同样的问题。
#
# ## 习题
#
# 把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会说出来。圆点表示难度。提示和答案都是折叠的，点开才看得见。
#
# **默写**：合上笔记本，再写 `embed`（●●○，10 分钟）。`from minibert.course.zh import task; task("embed")` 会把题目打印出来。
#
# ### 1. `embedding_parameters`（●○○，4 分钟）
#
# BERT-base（`BertConfig.base()`）的 `Embeddings` 有多少参数？词元表、片段表、位置表和层归一化都要算。
#
# <details><summary>提示</summary>
#
# $n$ 行的表有 $n \cdot D$ 个数；层归一化有两个 $D$ 维的向量。
# </details>
# <details><summary>答案</summary>
#
# ```python
# embedding_parameters = (30_522 + 2 + 512 + 1 + 1) * 768
# ```
# </details>

# %%
embedding_parameters = None  # 一个数
check("embedding_parameters", embedding_parameters)

# %% [markdown]
# ### 2. `layer_norm`（●●○，8 分钟）
#
# 不用 `nn.LayerNorm`，计算层归一化；`x` 的形状可以是任意的 `(..., D)`。
#
# <details><summary>提示</summary>
#
# 先求最后一维的均值和方差；加上 `keepdim=True`，才能拿来减、拿来除。方差除以 $D$，不是 $D - 1$：`correction=0`。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def layer_norm(x, weight, bias, eps):
#     mean, variance = x.mean(-1, keepdim=True), x.var(-1, correction=0, keepdim=True)
#     return (x - mean) / (variance + eps) ** 0.5 * weight + bias
# ```
# </details>


# %%
def layer_norm(x, weight, bias, eps):
    pass  # 你的代码


check("layer_norm", layer_norm)

# %% [markdown]
# ### 3. `nearest_tokens`（●●○，10 分钟）
#
# 按向量夹角的余弦，返回离一个词最近的 `k` 个词元（不含它自己），结果是字符串列表。`table` 的形状是 `(V, D)`；`tokenizer` 把词元变成编号，再变回来。
#
# <details><summary>提示</summary>
#
# 把每一行除以它的长度（`F.normalize`）；再与这个词的那一行相乘，一次就得到所有余弦。
# </details>
# <details><summary>答案</summary>
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
    pass  # 你的代码


check("nearest_tokens", nearest_tokens)
