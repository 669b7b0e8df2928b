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
# # 0 · 为什么是 BERT：一个空，和它两边的词
#
# [English](../0_why.ipynb)
#
# > **问题**：BERT 是为什么而造的，它改变了什么？
#
# - **需要**：会一点 Python。数学只用到对数；不需要懂深度学习。
# - **学完以后**：能说出 BERT 四个字母各代表什么，为什么要同时读两边，模型怎样从没人标注过的文本里学习，`[CLS]`、`[SEP]`、`[MASK]` 各有什么用。
# - **时间**：20 分钟，习题另需 12 分钟。
#
# BERT 是一个会读书的程序。它的名字是 *Bidirectional Encoder Representations from Transformers* 的缩写，学完这一课，这几个词你就都懂了。到第 4 课结束，你会亲手写好一个 BERT，装入训练好的参数，看它把下面这个句子补全。整个课程都围绕这个句子：
#
# > **The file is opened for reading.**
#
# 意思是：打开这个文件，是为了读取。课程用的小模型只读过英文，所以例句是英文；遇到中文更能说明问题的地方，我们就用中文。
#
# 一路上的每个结论都有**断言**把关：一格代码只要跑完不报错，它说的就是真的。全部内容离线运行，用的是随软件包一起安装的两个小 BERT。

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
from torch import Tensor

from minibert import BertForPreTraining, BertForSequenceClassification, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course.zh import check

MODEL = "minibert-english"  # has read novels; a better English model may be named here, with other outputs below
tokenizer = BertTokenizer.from_pretrained(MODEL)
model = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)

# %% [markdown]
# ## 先自己填
#
# 从左往右读，说出你想到的第一个词：
#
# > She ______（她……）
#
# 很难吧？*was*（是）、*said*（说）、*laughed*（笑）、*slept*（睡），几乎什么都行。再往下读：
#
# > She ______ the door and went in.（她……门，走了进去。）
#
# 一下子就容易了。空没有变，空前面的词也没有变，帮上忙的是空**后面**的词。看模型的答案之前，先把自己的写下来：

# %%
your_guess = "opened"

# %% [markdown]
# ## 再让模型填
#
# BERT 就是做填空的，训练时几乎只做这一件事。它把文本读成一串**词元**：词、词的一部分，还有标点。它认识的词元是固定的，列成一张**词表**。空本身也是一个词元，写作 `[MASK]`；模型给词表里的每个词元都算出一个概率：它填在这里的可能有多大。我们先把 *She* 后面的词全遮住，只留左边给模型读；然后再把右边还给它。
#
# 这里的代码不必每一行都看懂，后面几课会把它们全部亲手写出来。现在知道三个词就够了。**张量**（tensor）是 PyTorch 的数组，注释里的 `(V,)` 是它的形状。**logits** 是模型给出的原始分数，每个词元一个。**softmax** 把分数变成加起来等于一的概率。


# %%
def fill(text: str, tokenizer: BertTokenizer = tokenizer, model: BertForPreTraining = model) -> Tensor:
    """在第一个空处，词表中每个词元的概率。"""
    inputs = tokenizer(text, return_tensors="pt")
    first_blank = inputs["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    return model(**inputs).prediction_logits[0, first_blank].softmax(dim=-1)  # (V,)


left_only = fill("She [MASK] [MASK] [MASK] [MASK] [MASK] [MASK].")
both_sides = fill("She [MASK] the door and went in.")

# %%
opened = tokenizer.convert_tokens_to_ids("opened")
yours = tokenizer.convert_tokens_to_ids(your_guess)
for name, p in (("left side only", left_only), ("both sides", both_sides)):
    best = p.topk(4)
    words = zip(tokenizer.convert_ids_to_tokens(best.indices), best.values, strict=True)
    print(f"{name:15}", ", ".join(f"{word} {share:.0%}" for word, share in words))
    print(f"{'':15} your guess, {your_guess}: {p[yours]:.1%}")
assert both_sides.argmax() == opened and both_sides[opened] > 20 * left_only[opened]

# %% [markdown]
# 输出里，`left side only` 是只看左边，`both sides` 是两边都看，后面是模型最看好的四个词元。只看左边，模型毫无把握；两边都看，*opened* 排到了第一。
#
# 猜得有多好？就看正确答案让模型有多**惊讶**。如果模型给正确的词的概率是 $p$，惊讶程度就是 $-\log_2 p$ 比特。很有把握而且猜对的模型，惊讶程度是 0 比特；什么都不懂的模型，给 12,288 个词元同样的机会，惊讶程度是 $\log_2 12288 = 13.6$ 比特。BERT 的全部训练只有一个目标：越来越少惊讶（第 7 课）。

# %%
surprise = {"knows nothing": torch.tensor(1 / len(tokenizer))} | {"left side only": left_only[opened]}
surprise = {name: -p.log2().item() for name, p in (surprise | {"both sides": both_sides[opened]}).items()}
figure, ax = plt.subplots(figsize=(6, 1.8), layout="constrained")
bars = ax.barh(list(surprise), list(surprise.values()), color=["lightgrey", "#d98032", "#1b3a5c"])
labelled = ax.bar_label(bars, fmt="%.1f", padding=3)
ax.set(xlabel="surprise at “opened”, in bits", xlim=(0, 15))
ax.invert_yaxis()
assert abs(surprise["knows nothing"] - 13.6) < 0.05 and surprise["both sides"] < surprise["left side only"] - 4

# %% [markdown]
# 上图从上到下：一无所知（knows nothing）、只看左边、两边都看，惊讶程度依次下降。
#
# ### 读过什么，就懂什么
#
# 这是从哪里学来的？`minibert-english` 读过 77 本小说和别的旧书，书里的人常常打开门，却几乎从不打开文件。要懂文件，得找读过别的东西的模型：`minibert-tiny` 是一个更小的 BERT，它读过 Python 的文档。我们拿贯穿课程的那个句子，把两个模型都问一遍：

# %%
TINY = "minibert-tiny"
tiny = BertTokenizer.from_pretrained(TINY), BertForPreTraining.from_pretrained(TINY)
for name, reader in (("has read novels", (tokenizer, model)), ("has read about Python", tiny)):
    p = fill("The file is [MASK] for reading.", *reader)
    words = zip(reader[0].convert_ids_to_tokens(p.topk(4).indices), p.topk(4).values, strict=True)
    print(f"{name:21}", ", ".join(f"{word} {share:.0%}" for word, share in words))
assert p.argmax() == tiny[0].convert_tokens_to_ids("opened")

# %% [markdown]
# 读过小说的（has read novels）答不上来，读过 Python 文档的（has read about Python）答对了。所以后面几课要看的，是更小的那一个的内部：它小得可以追踪每一个数，这个句子又正属于它的世界。
#
# ## 以前是怎么做的
#
# 2018 年，要把文本变成程序能学习的数，有两条路。
#
# **固定的词向量**（word2vec、GloVe）：看一个词常和哪些词为伴，学出一列数来代表它。可是一个词只有一个向量，不管句子是什么。*She left the house*（她离开了家）和 *her left hand*（她的左手），两个 *left* 用的是同一个向量。中文也一样：打电话、打酱油、一打鸡蛋，“打”字都只有一个向量。
#
# **语言模型**：从左往右读，预测下一个词（2018 年夏天的 GPT）。这样得到的向量随句子而变，但只取决于前面的部分。ELMo 把两个这样的模型并排放着，一个从头读，一个从尾读，可是哪一个都没有看到整句话。
#
# 为什么不干脆同时读两边？因为看得见整句话的模型，也看得见答案。BERT 的办法很简单：**遮住几个词，只预测这几个。**
#
# $$ \underbrace{p(w_t \mid w_1, \ldots, w_{t-1})}_{\text{从左到右}} \qquad\qquad
# \underbrace{p(w_t \mid w_1, \ldots, w_{t-1}, \texttt{[MASK]}, w_{t+1}, \ldots, w_T)}_{\text{BERT}} $$
#
# （Devlin et al. 2019，第 3.1 节，任务一。）
#
# | 符号 | 代码里 | 含义 |
# | --- | --- | --- |
# | $w_t$ | `opened` | 位置 $t$ 上的词元 |
# | $T$ | | 文本有多少个词元 |
# | $p(\cdot \mid \cdot)$ | `both_sides[opened]` | 在读到的一切都已知时，一个词元的概率 |
#
# ### 一个词，几个向量
#
# 这个差别可以用数字看出来。我们在三个句子里各取同一个词 *left*，前两句里是动词“离开”，第三句里是“左”，再比较它的向量。尺度是夹角的余弦：1 表示方向相同。先比查表得到的向量（looked up），再比 BERT 输出的向量（out of BERT）。

# %%
senses = ["She left the house.", "They left the town.", "She raised her left hand."]
looked_up, understood = [], []
for text in senses:
    inputs = tokenizer(text, return_tensors="pt")
    place = inputs.tokens().index("left")
    looked_up.append(model.bert.embeddings.word.weight[inputs["input_ids"][0, place]])
    understood.append(model.bert(**inputs).last_hidden_state[0, place])

# %%
for name, vectors in (("looked up", looked_up), ("out of BERT", understood)):
    a, b, other = F.normalize(torch.stack(vectors), dim=1)
    print(f"{name:11}: same sense {a @ b:.2f}, other sense {a @ other:.2f} and {b @ other:.2f}")
torch.testing.assert_close(looked_up[0], looked_up[2])
a, b, other = F.normalize(torch.stack(understood), dim=1)
assert a @ b > 0.2 + max(a @ other, b @ other)

# %% [markdown]
# 查表得到的向量分不清这三句话。BERT 的向量分得清，因为每个词元都看过了其他词元。词元怎么看，就是**注意力**（第 2 课）；看到以后怎么办，就是**编码器层**（第 3 课）。
#
# 于是，四个字母的意思就清楚了：
#
# | | | |
# | --- | --- | --- |
# | **B** | Bidirectional，双向 | 每个词元都看得见两边 |
# | **E** | Encoder，编码器 | 只读不写：文本进，向量出 |
# | **R** | Representations，表示 | 就是这些向量，每个词元一个 |
# | **T** | from Transformers，来自 Transformer | Vaswani et al. 2017 提出的网络，由注意力搭成 |
#
# ## 文本自己给自己标注
#
# 模型要学习，就需要几百万个样本，而且得有人写下正确答案。可是 BERT 读过的三十三亿个词，没有谁坐下来标注过。窍门在于：把一个词遮住，这个词就是标签。这叫**掩码语言建模**（masked language modelling，MLM）。
#
# 最初的 BERT 还做第二种题：给它两个句子 A 和 B，让它判断 B 是不是真的接在 A 后面。这叫**下一句预测**（next sentence prediction，NSP）。有一半的题，B 是从别处拿来的。
#
# 为了出这两种题，文本里要加上几个不是词的记号：
#
# - `[MASK]` 是空。
# - `[SEP]` 标出句子在哪里结束，免得 A 和 B 连成一片。
# - `[CLS]` 站在最前面。它不是词，它的向量也就不必代表哪个词，可以用来代表**整段**文本。“B 接在 A 后面吗？”答案从这里读出。以后问别的问题，答案也从这里读出：这条评论是好评吗？这封邮件是垃圾邮件吗？

# %%
sentence = "She opened the letter."
followers = ["It was from her brother.", "The sea was very calm."]
for other in followers:
    pair = tokenizer(sentence, other, return_tensors="pt")
    follows = model(**pair).seq_relationship_logits.softmax(dim=-1)[0, 0]  # 0：B 接在 A 后面
    print(*pair.tokens())
    print(f"    B follows A with probability {follows:.0%}")

# %%
probability = [model(**tokenizer(sentence, other, return_tensors="pt")).seq_relationship_logits for other in followers]
probability = torch.cat(probability).softmax(dim=-1)[:, 0]
assert probability[0] > 0.5 > probability[1]

# %% [markdown]
# ## 预训练一次，微调多次
#
# 填空这个游戏，本身没有人需要；但要玩得好，模型就得学会语法、词义，还有不少关于世界的知识。这要很多机器跑上好几天，不过只做一次。之后，把负责填空的那一部分，也就是**头**，取下来，给同一个主体装上一个新的小头：判断垃圾邮件，找出人名，回答问题。训练新的头只要几分钟；带标签的样本只要几百个，而不是几百万个。BERT 出名，靠的就是这件事。
#
# ![预训练做一次，每个任务各微调一次](../../docs/images/diagrams/pretrain-finetune.zh.svg)
#
# 新的部分有多小？数一数参数，也就是那些学出来的数。

# %%
classifier = BertForSequenceClassification.from_pretrained(MODEL, num_labels=2)
body = sum(parameter.numel() for parameter in classifier.bert.parameters())
head = sum(parameter.numel() for parameter in classifier.classifier.parameters())
print(f"the body: {body:,} parameters, pretrained; the new head: {head} parameters, to be learned")
assert torch.equal(classifier.bert.embeddings.word.weight, model.bert.embeddings.word.weight)  # 学到的东西留着
assert head == 2 * 256 + 2

# %% [markdown]
# BERT 问世那年，在十一个任务上创下了新纪录（Devlin et al. 2019，第 4 节）：主体都是同一个，只是各换了一个薄薄的头。今天的搜索引擎和嵌入模型仍然这样工作。
#
# ## 一张图看全貌
#
# ![BERT 的结构：从词元编号到两个头](../../docs/images/diagrams/architecture.zh.svg)
#
# ```
#   [CLS]  the   file    is  [MASK]  for  reading   .   [SEP]      切成词元的文本
#     │     │     │      │     │      │      │      │     │
#   ┌─┴─────┴─────┴──────┴─────┴──────┴──────┴──────┴─────┴─┐
#   │  嵌入：词元 + 片段 + 位置                             │      第 1 课
#   ├───────────────────────────────────────────────────────┤
#   │  注意力：每个词元看其他所有词元                       │ ×L   第 2 课
#   │  前馈：每个词元琢磨自己看到的东西                     │      第 3 课
#   └─┬─────┬─────┬──────┬─────┬──────┬──────┬──────┬─────┬─┘
#     │                        │
#   池化层                   MLM 头                                第 4 课
#   “B 接着 A 吗？”          “opened”
# ```
#
# 第 1 到 3 课一块一块地搭主体。第 4 课把它们装到一起：**一页之内的完整 BERT**。接着看它怎样学习：题从哪里来（第 5 课），惊讶怎样让模型变好（第 6 课），还有一次几秒钟就跑完的预训练（第 7 课）。第 8 课做微调；第 9 课看模型内部，并且追问：注意力图究竟能证明什么？附录 A 到 C 讲工程：文件、逐位相同、速度。
#
# 最后再查一件事：它真的是 BERT 吗？下面这一格去问 `transformers`，也就是世界上大多数人用的库。如果没有安装，这一格会说明什么也没有核对。

# %%
inputs = tokenizer("She [MASK] the door and went in.", return_tensors="pt")
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    reference = transformers.BertForPreTraining.from_pretrained(local_folder(MODEL)).float().eval()
    expected = reference(**inputs).prediction_logits.detach()
    assert torch.equal(model(**inputs).prediction_logits, expected)
    print("the reference gives the same scores, to the last bit")

# %% [markdown]
# ## 习题
#
# 把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会说出来。圆点表示难度。提示和答案都是折叠的，点开才看得见。
#
# ### 1. `bits`（●○○，2 分钟）
#
# 模型给正确的词的概率是 1/64，它惊讶多少比特？
#
# <details><summary>提示</summary>
#
# 1 要减半几次，才得到 1/64？
# </details>
# <details><summary>答案</summary>
#
# ```python
# bits = 6
# ```
# </details>

# %%
bits = None  # 一个数
check("bits", bits)

# %% [markdown]
# ### 2. `mark`（●○○，4 分钟）
#
# 给两个词元列表加上记号，合成一个列表返回：`[CLS]`、`a` 的词元、`[SEP]`、`b` 的词元、`[SEP]`。
#
# <details><summary>提示</summary>
#
# 列表可以用 `+` 相连，也可以用星号放进另一个列表：`[1, *others]`。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def mark(a, b):
#     return ["[CLS]", *a, "[SEP]", *b, "[SEP]"]
# ```
# </details>


# %%
def mark(a, b):
    pass  # 你的代码


check("mark", mark)

# %% [markdown]
# ### 3. `hide`（●●○，6 分钟）
#
# 遮住一个词在文本里第一次出现的地方：由 *The file is opened* 和 *file* 得到 *The [MASK] is opened*。词与词之间用空格隔开；*profile* 和 *file* 不是同一个词。
#
# <details><summary>提示</summary>
#
# `text.split(" ")` 得到词的列表；列表有 `index` 方法。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def hide(text, word):
#     words = text.split(" ")
#     words[words.index(word)] = "[MASK]"
#     return " ".join(words)
# ```
# </details>


# %%
def hide(text, word):
    pass  # 你的代码


check("hide", hide)
