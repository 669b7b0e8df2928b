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
# # 5 · 预训练数据：一段文字怎样变成句对和掩码
#
# [English](../5_pretraining_data.ipynb)
#
# > **问题**：没有人做标注，几百万个带标签的样本从哪里来？
#
# - **需要**：第 0 课，会用 numpy。
# - **学完以后**：能照 BERT 论文的做法把一段文字变成句对和掩码，核对各种比例，还能说清为什么论文遮住 15 % 的词元，而我们的预设（预训练的现成配置）遮住 30 %。
# - **时间**：30 分钟，习题另需 19 分钟。
#
# 答案在第 0 课里已经露过面：文本自己给自己打标签。遮住一个词，这个词就是标签；把两句话并排放，它们在原文里是不是挨着，也是标签。现在就来动手。我们跟着一段文字走，它以我们那句话开头，一直走到可以喂给模型的批次为止。
#
# ![从一段文字到句对和掩码](../../docs/images/diagrams/pairs-and-masking.zh.svg)

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
import numpy as np
import torch

from minibert import BertForPreTraining, BertTokenizer
from minibert.course.zh import check
from minibert.labels import IGNORE_INDEX, IS_NEXT, IS_RANDOM
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.masking import example_keys, mask_tokens
from minibert.text.packed import PackedCorpus
from minibert.text.sentences import split_sentences

# %%
about_files = """The file is opened for reading. It is an error if the file does not exist. A file that is opened for
writing is created if necessary. Text is written to a buffer first. Close the file when you are done."""
about_lists = """A list is a mutable sequence. Items may be added and removed at any time. The items of a list need not
be of the same type. Use a tuple for values that do not change."""
documents = [split_sentences(text.replace("\n", " ")) for text in (about_files, about_lists)]
for number, document in enumerate(documents):
    for sentence in document:
        print(f"document {number}: {sentence}")

# %% [markdown]
# ## 从句子到一长串数字
#
# 分词很慢，所以只做一次。要保存的是一个很长的数组，里面全是词元编号；另外记下每个句子、每篇文档从数组的哪里开始。这样，连续的几句话就是数组里的一段：

# %%
MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
corpus = PackedCorpus.from_documents(documents, tokenizer)
print("ids:            ", corpus.ids[:12], f"... {len(corpus.ids)} in all")
print("sentence starts:", corpus.sentence_starts)
print("documents:      ", corpus.documents.tolist(), "(first sentence, and the one after the last)")
first, second = corpus.sentence_starts[:2]
assert tokenizer.decode(corpus.ids[first:second].tolist()) == "the file is opened for reading."

# %% [markdown]
# ## 句对：下一句预测
#
# 许多问题问的是**两段**文字之间的关系：这段话能回答那个问题吗？这句话和那句话矛盾吗？所以 BERT 也要学会句子之间怎样衔接。做法（Devlin et al. 2019，第 3.1 节，任务二，以及公开的代码）如下。顺着一篇文档往下走，收集句子，直到够长。在其中随机挑一个句子边界，把这一段切成 A 和 B 两半。有一半的机会保持原样：标签 **0**，B 接着 A。否则从**另一篇**文档的随机位置取一段作 B：标签 **1**。被换下来的那些句子不浪费，后面接着用。
#
# 先看最简单的情形，每边只有一句，用循环写出来：

# %%
coin = np.random.default_rng(3)
for number, sentence in enumerate(documents[0][:-1]):
    if coin.random() < 0.5:
        label, other = IS_NEXT, documents[0][number + 1]
    else:
        label, other = IS_RANDOM, coin.choice(documents[1])
    print(f"{label}: {sentence} | {other}")

# %% [markdown]
# 把整个语料读一遍，叫一个**轮次**（epoch）。软件包就是这样抽取一个轮次的全部句对，只是每边可以不止一句，太长的还要截断。一个句对就是五个数：A 和 B 在数组里各从哪里到哪里，再加上标签。上面说的每一点，我们都来核对：

# %%
dataset = PretrainingDataset(corpus, tokenizer, max_length=40, seed=0)
document_of = np.repeat([0, 1], np.diff(corpus.sentence_starts[[0, len(documents[0]), -1]]))  # 每个词元属于哪篇文档
labels, from_same_document = [], []
for epoch in range(300):
    dataset.set_epoch(epoch)
    for a_start, a_end, b_start, b_end, label in dataset.pairs:
        assert a_start < a_end and b_start < b_end and (a_end - a_start) + (b_end - b_start) <= 40 - 3
        labels.append(label)
        from_same_document.append(document_of[a_start] == document_of[b_start])

# %%
is_random, same = np.array(labels) == IS_RANDOM, np.array(from_same_document)
print(f"{len(labels):,} pairs in 300 epochs, {is_random.mean():.0%} of them random")
print(f"consecutive pairs from the same document: {same[~is_random].mean():.0%}")
print(f"random pairs from the same document: {same[is_random].mean():.1%}")
assert same[~is_random].all() and same[is_random].mean() < 0.01
assert 0.5 < is_random.mean() < 0.8

# %% [markdown]
# 随机的句对超过一半，因为最后剩下的那一句孤零零的，没有下一句。那么为什么有少数随机句对来自同一篇文档呢？按原来的做法，要找另一篇文档，最多掷十次骰子。这里只有两篇文档，十次可能全掷到同一篇上，那就只好用掷到的这篇。

# %%
dataset.set_epoch(0)
a_start, a_end, b_start, b_end, label = dataset.pairs[0].tolist()
print("A:", tokenizer.decode(corpus.ids[a_start:a_end].tolist()))
print("B:", tokenizer.decode(corpus.ids[b_start:b_end].tolist()))
print("label:", label, "(B follows A)" if label == IS_NEXT else "(B is random)")

# %% [markdown]
# 模型读到的是 `[CLS] A [SEP] B [SEP]`。片段编号到第一个 `[SEP]` 为止是 0，从那以后是 1：

# %%
cls, sep = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
a, b = corpus.ids[a_start:a_end].tolist(), corpus.ids[b_start:b_end].tolist()
token_ids = np.array(cls + a + sep + b + sep)
segment_ids = np.array([0] * (len(a) + 2) + [1] * (len(b) + 1))
assert np.array_equal(dataset[0]["token_type_ids"], segment_ids)
print(*tokenizer.convert_ids_to_tokens(token_ids))

# %% [markdown]
# ## 掩码：遮住哪些词元，用什么遮
#
# $$ q = \max\big(1, \mathrm{round}(0.15\, n)\big) \qquad
# P(\texttt{[MASK]}) = 0.8, \quad P(\text{词元本身}) = 0.1, \quad P(\text{随机词元}) = 0.1 $$
#
# （Devlin et al. 2019，第 3.1 节，任务一；取整的方式依公开的代码。）
#
# | 符号 | 代码里 | 含义 |
# | --- | --- | --- |
# | $n$ | `len(token_ids)` | 长度，`[CLS]` 和 `[SEP]` 也算 |
# | $q$ | `quota` | 选中多少个词元；`[CLS]` 和 `[SEP]` 永远不选 |
# | $P$ | | 选中的词元变成什么；由 0 到 1 之间的随机数 `action` 决定 |
#
# 为什么不一律换成 `[MASK]`？因为 BERT 以后要处理的文本里根本没有它。如果模型只需要考虑 `[MASK]`，那么其他词元它都可以不管。被选中的词元有的保持不变，有的换成随机词元，看上去和别的词元没有两样。于是模型对**每个**词元都得有自己的判断。
#
# > **中文里的整词掩码**：中文 BERT 的词表里，一个汉字就是一个词元。只遮一个字，题目常常太容易：`他打开文件[MASK]。` 只要见过“文件夹”，不必读懂句子也能填对。把整个词一起遮住，`他打开[MASK][MASK][MASK]。` 就得看前后文了。这叫整词掩码（whole-word masking）。英文的一个词从哪里开始，看 `##` 就知道；中文的词与词之间没有空格，得先用分词工具切开，再把每个词的开头告诉 `mask_tokens`（参数 `word_starts`）。
#
# ### 先用循环
#
# 每个词元掷三个骰子：一个决定挑选的次序，一个决定怎么处理，一个决定换成哪个随机词元。我们的骰子不是一个接一个掷出来的，而是由（种子，轮次，样本，位置）把二进制位打乱算出来的。所以每次读到同一文本，掩码都是新的；而无论放在哪个批次、由哪个进程来算，还是程序崩溃后重来，掩码又都一样。


# %%
def scramble(bits: np.ndarray) -> np.ndarray:
    """SplitMix64（Steele, Lea and Flood 2014）：进去 64 位，出来 64 位，看上去是随机的。"""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def dice(key: np.uint64, count: int, die: int) -> np.ndarray:
    counters = np.arange(count, dtype=np.uint64) * np.uint64(3) + np.uint64(die)
    return (scramble(key + counters * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(11)) * 2.0**-53  # in [0, 1)


# %%
n, key = len(token_ids), example_keys(seed=0, epoch=0, indices=np.array([0]))
order, action, random_token = (dice(key, n, die) for die in range(3))
quota = max(1, round(0.15 * n))
special = set(tokenizer.all_special_ids)
by_order = sorted((position for position in range(n) if token_ids[position] not in special), key=lambda i: order[i])

# %%
inputs, labels = token_ids.copy(), np.full(n, IGNORE_INDEX)
for position in by_order[:quota]:
    labels[position] = token_ids[position]
    if action[position] < 0.8:
        inputs[position] = tokenizer.mask_token_id
    elif action[position] >= 0.9:
        inputs[position] = int(random_token[position] * len(tokenizer))

# %%
example = dataset[0]
assert np.array_equal(example["input_ids"], inputs) and np.array_equal(example["labels"], labels)
for position in np.flatnonzero(labels != IGNORE_INDEX):
    seen, meant = tokenizer.convert_ids_to_tokens([inputs[position], labels[position]])
    print(f"position {position:2}: the model reads {seen}, and should say {meant}")
print(f"{quota} of {n} tokens have a label; all others have {IGNORE_INDEX}, which every loss passes over")

# %% [markdown]
# ### 再一次处理整个批次
#
# `mask_tokens` 一次处理所有序列。给它 2,000 行、每行 100 个词元，它在每一行里恰好选中 15 个。总共 30,000 个词元，三个比例的偶然波动不到 0.0025（一个标准差），所以可以核对得很严。（图中 itself 是保持不变，a random token 是换成随机词元，横轴是占选中词元的份额。）

# %%
rows, length = 2000, 100
batch = np.random.default_rng(0).integers(5, len(tokenizer), size=(rows, length))
keys = example_keys(seed=1, epoch=0, indices=np.arange(rows))
everything, lengths = np.ones_like(batch, dtype=bool), np.full(rows, length)
sizes = {"mask_token_id": tokenizer.mask_token_id, "vocab_size": len(tokenizer)}
masked, batch_labels = mask_tokens(batch, everything, lengths, keys, **sizes)
chosen = batch_labels != IGNORE_INDEX
became_mask = (masked == tokenizer.mask_token_id)[chosen].mean()
stayed = (masked == batch)[chosen].mean()

# %%
shares = {"[MASK]": became_mask, "itself": stayed, "a random token": 1 - became_mask - stayed}
assert (chosen.sum(axis=1) == 15).all() and (masked == batch)[~chosen].all()
assert all(abs(share - expected) < 0.01 for share, expected in zip(shares.values(), (0.8, 0.1, 0.1), strict=True))
figure, ax = plt.subplots(figsize=(6, 1.8), layout="constrained")
bars = ax.barh(list(shares), list(shares.values()), color="#1b3a5c")
labelled = ax.bar_label(bars, fmt="{:.1%}", padding=3)
ax.set(xlabel="share of the chosen tokens", xlim=(0, 1))
ax.invert_yaxis()

# %% [markdown]
# ### 为什么是 15 %？我们的预设又为什么是 30 %？
#
# 每个遮住的词元都是一道题，模型就是靠做题学习的。那么题目越多越好？不对：遮住一个词元，其他题目的**上下文**里也就少了它。什么都不遮，没有东西可学；全部遮住，又没有线索可循。论文选了 15 %，一直用到底。
#
# 我们做过测量（[docs/zh/recipe.md](../../docs/zh/recipe.md#遮住多少)）：一个小模型，两个核，训练几分钟。用同样的时间，它在没有见过的文本上的损失是：
#
# | 训练时遮住 | 15 % | 20 % | 30 % | 40 % |
# | --- | --- | --- | --- | --- |
# | 留出文本上的损失 | 4.552 | 4.489 | 4.485 | 4.472 |
#
# （评测时一律遮住 15 %。）如果模型只有几分钟可学，每句话多出几道题就有好处；超过 20 % 以后，差别就小了。我们的预设遮住 30 %。凡是带 `masking_rate` 参数的函数，默认值都是论文的 15 %，这一课也用它。下面看看换成别的比例会怎样：

# %%
for rate in (0.15, 0.3, 0.4):
    _, labels_at = mask_tokens(batch, everything, lengths, keys, **sizes, rate=rate)
    questions = (labels_at != IGNORE_INDEX).sum(axis=1)
    print(f"{rate:.0%} of {length} tokens: {questions.mean():.0f} questions, {length - questions.mean():.0f} others")
    assert (questions == round(rate * length)).all()

# %% [markdown]
# ### 每次读到，掩码都不一样
#
# 最早的 BERT 事先给每段文本抽好十种掩码，训练时翻来覆去地用。我们的掩码每个轮次都是新的。图中每一行是一次读到我们这个句对，深色的是被选中的词元。

# %%
visits = []
maskable = ~np.isin(token_ids, list(special))[None]
for epoch in range(12):
    keys = example_keys(seed=0, epoch=epoch, indices=np.array([0]))
    visits.append(mask_tokens(token_ids[None], maskable, np.array([n]), keys, **sizes)[1][0] != IGNORE_INDEX)
assert len({tuple(visit) for visit in visits}) == 12 and all(visit.sum() == quota for visit in visits)

# %%
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
image = ax.imshow(visits, cmap="Blues", vmax=1.3, aspect="auto")
ax.set(ylabel="epoch", xlabel="token", title="chosen tokens of one pair in twelve epochs")
ax.set_xticks(range(n), tokenizer.convert_ids_to_tokens(token_ids), rotation=90)
ax.set_yticks(range(0, 12, 2))
ax.grid(False)

# %% [markdown]
# ## 一个批次
#
# 样本有长有短。整理函数（collator）用 `[PAD]` 把短的补齐，和第 2 课里一样，再把它们拼成一个批次：

# %%
collate = PretrainingCollator(tokenizer.pad_token_id)
padded = collate([dataset[0], dataset[1]])
for name in ("input_ids", "attention_mask", "token_type_ids", "labels", "next_sentence_label"):
    print(f"{name:20} {tuple(padded[name].shape)}")
assert padded["label_count"] == int((padded["labels"] != IGNORE_INDEX).sum())
assert (padded["labels"][padded["attention_mask"] == 0] == IGNORE_INDEX).all()

# %% [markdown]
# 我们训练好的模型，会怎样回答上面的那个样本呢？

# %%
model = BertForPreTraining.from_pretrained(MODEL)
with torch.no_grad():
    outputs = model(**collate([example]))
best = outputs.prediction_logits.softmax(dim=-1).max(dim=-1)
for guess, sure, meant in zip(best.indices, best.values, labels[labels != IGNORE_INDEX], strict=True):
    said, truth = tokenizer.convert_ids_to_tokens([guess.item(), meant])
    print(f"hidden: {truth:8}  the model says: {said} ({sure:.0%})")
follows = outputs.seq_relationship_logits.softmax(dim=-1)[0, IS_NEXT]
print(f"B follows A with {follows:.0%}; the label is {label}")

# %% [markdown]
# ## 习题
#
# 把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会说出来。圆点表示难度。提示和答案都是折叠的，点开才看得见。
#
# **默写**：合上笔记本，再写 `mask_tokens`（●●●，20 分钟）。`from minibert.course.zh import task; task("mask_tokens")` 会把题目打印出来。
#
# ### 1. `masked_tokens`（●○○，3 分钟）
#
# 一个 512 个词元的序列，平均有多少个词元变成 `[MASK]`？（选中的是 `round(0.15 * 512)` 个。）
#
# <details><summary>提示</summary>
#
# 选中的词元并不都变成 `[MASK]`。
# </details>
# <details><summary>答案</summary>
#
# ```python
# masked_tokens = round(0.15 * 512) * 0.8
# ```
# </details>

# %%
masked_tokens = None  # 一个数
check("masked_tokens", masked_tokens)

# %% [markdown]
# ### 2. `words_of`（●●○，8 分钟）
#
# 把词片归到各个词里：由 `["un", "##open", "file"]` 得到 `[[0, 1], [2]]`。（遮住整个词更难，学到的也更多：`whole_word_masking=True` 就是这样做的。）
#
# <details><summary>提示</summary>
#
# 凡是不以 `##` 开头的词元，都是一个词的开头。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def words_of(tokens):
#     starts = [i for i, token in enumerate(tokens) if not token.startswith("##")]
#     return [list(range(start, end)) for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True)]
# ```
# </details>


# %%
def words_of(tokens):
    pass  # 你的代码


check("words_of", words_of)

# %% [markdown]
# ### 3. `truncate`（●●○，8 分钟）
#
# 照公开的代码那样截断一对列表：只要两者合起来超过 `limit` 个词元，就从较长的那个里去掉一个（一样长时从 `b` 里去掉），这里总是去掉末尾的。两者都要返回。
#
# <details><summary>提示</summary>
#
# 用 `while` 循环。先复制列表（`list(a)`）：调用你的人也许还要用它们。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def truncate(a, b, limit):
#     a, b = list(a), list(b)
#     while len(a) + len(b) > limit:
#         (a if len(a) > len(b) else b).pop()
#     return a, b
# ```
# </details>


# %%
def truncate(a, b, limit):
    pass  # 你的代码


check("truncate", truncate)
