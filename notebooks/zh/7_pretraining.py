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
# # 7 · 预训练：两种损失，曲线上的一个弯
#
# [English](../7_pretraining.ipynb)
#
# > **问题**：BERT 先学会什么，最后学会什么？怎样从一个数看出它学会了什么？
#
# - **需要**：第 4 到 6 课。
# - **学完以后**：能亲手算出两种损失，在训练开始之前预言损失曲线上的两个高度，并读懂一条真实的曲线。
# - **时间**：35 分钟，习题另需 21 分钟。两次训练一共约一分钟。
#
# 预训练的时候，人人都盯着损失曲线，却很少有人说得出曲线的高度是什么意思。所以我们先用自己的句子，亲手算出 BERT 的两种损失。然后看它们在一个小世界里下降，那里的每个概率我们都知道：一种几秒钟就能学会的玩具语言。曲线会在某个高度拐弯，而这个高度在训练开始之前就能算出来。我们会看到为什么，以及靠什么才能越过这个弯。

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
import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR

from minibert import BertConfig, BertForPreTraining, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course.zh import check
from minibert.labels import IGNORE_INDEX, IS_NEXT, IS_RANDOM
from minibert.model.losses import mlm_loss, nsp_loss

# %%
from minibert.pretraining.initialization import look_at_neighbours
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.packed import PackedCorpus
from minibert.training.optimization import build_optimizer, learning_rate_factor

MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
model = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)
truth = tokenizer("The file is opened for reading.", "It is an error if the file does not exist.", return_tensors="pt")
labels = truth["input_ids"].clone()

# %% [markdown]
# ## 掩码语言建模的损失
#
# 遮住 *opened*、*reading* 和 *error*。对每一个，模型给词表里的每个词元一个分数 $z_v$，softmax 把分数变成概率。损失就是第 0 课的惊讶程度：正确答案的概率取 $-\log$。模型有把握而且说对了，就是 0；有把握却说错了，就很大。
#
# $$ \mathcal L_{\mathrm{MLM}} = \sum_{n \in N} -\log p_n \quad\text{（教科书）} \qquad
# \mathcal L_{\mathrm{MLM}} = \frac{1}{|N|} \sum_{n \in N} -\log p_n \quad\text{（代码）}
# \qquad p_n = \frac{e^{z_{n, y_n}}}{\sum_v e^{z_{n, v}}} $$
#
# （Devlin et al. 2019，第 3.1 节，任务一，以及附录 A.2：“the sum of the mean masked LM likelihood and the mean next sentence prediction likelihood”，即两种平均似然之和。取平均，适合小批次的学习率也就适合大批次。）
#
# | 符号 | 代码里 | 形状 | 含义 |
# | --- | --- | --- | --- |
# | $N$ | `hidden` | | 有标签的位置 |
# | $z_{n,v}$ | `logits[n, v]` | $(\lvert N\rvert, V)$ | 词元 $v$ 在位置 $n$ 的分数 |
# | $y_n$ | `labels[n]` | | 那里原来的词元 |
# | $p_n$ | `p` | | 模型给正确答案的概率 |

# %%
hidden_words = tokenizer.convert_tokens_to_ids(["opened", "reading", "error"])
hidden = torch.isin(labels, torch.tensor(hidden_words))
labels[~hidden] = IGNORE_INDEX
inputs = dict(truth, input_ids=truth["input_ids"].masked_fill(hidden, tokenizer.mask_token_id))
print(*tokenizer.convert_ids_to_tokens(inputs["input_ids"][0]))
outputs = model(**inputs)

# %%
total = 0.0
for position in hidden[0].nonzero()[:, 0].tolist():
    scores = outputs.prediction_logits[0, position].tolist()  # V 个数
    label = labels[0, position].item()
    p = math.exp(scores[label]) / sum(math.exp(score) for score in scores)
    total += -math.log(p)
    print(f"{tokenizer.convert_ids_to_tokens(label):8} p = {p:.3f}, surprise {-math.log(p):.3f}")
print(f"sum {total:.3f} (textbook), mean {total / 3:.3f} (code)")

# %% [markdown]
# ### 再用两行，然后与包里的对照

# %%
logits, targets = outputs.prediction_logits[hidden], labels[hidden]  # (3, V), (3,)
by_hand = -logits.log_softmax(dim=-1)[torch.arange(3), targets].mean()
torch.testing.assert_close(by_hand.item(), total / 3, rtol=1e-4, atol=1e-5)
torch.testing.assert_close(mlm_loss(logits, targets), by_hand)
everywhere = mlm_loss(outputs.prediction_logits[0], labels[0])  # 没有标签的位置不算
torch.testing.assert_close(everywhere, by_hand)
print(f"{by_hand:.3f}: as surprised as by a fair die with {by_hand.exp():.1f} sides (the perplexity)")

# %% [markdown]
# ## 下一句预测的损失
#
# B 接在 A 后面吗？两个类别有两个分数：0 表示接在后面，1 表示随机。教科书写一个概率，$y' = 1$ 表示“接在后面”。代码对两个类别做 softmax，$y = 0$ 表示“接在后面”。两者是同一个数，因为两个分数的 softmax 就是它们之差的 sigmoid：
#
# $$ \frac{e^{z_0}}{e^{z_0} + e^{z_1}} = \frac{1}{1 + e^{-(z_0 - z_1)}} = \sigma(z_0 - z_1) \qquad
# \mathcal L_{\mathrm{NSP}} = -y' \log \sigma(z_0 - z_1) - (1 - y') \log\big(1 - \sigma(z_0 - z_1)\big) $$

# %%
scores = outputs.seq_relationship_logits  # (1, 2)
z0, z1 = scores[0].tolist()
p = 1 / (1 + math.exp(-(z0 - z1)))
print(f"B follows A with probability {p:.3f}")
for y, follows in ((IS_NEXT, 1), (IS_RANDOM, 0)):
    textbook = -follows * math.log(p) - (1 - follows) * math.log(1 - p)
    print(f"label {y}: loss {textbook:.3f}")
    torch.testing.assert_close(nsp_loss(scores, torch.tensor([y])).item(), textbook, rtol=1e-4, atol=1e-5)

# %% [markdown]
# 预训练要减小的是两者之和。参考实现算出同样的数：

# %%
both = dict(labels=labels, next_sentence_label=torch.tensor([IS_NEXT]))
loss = model(**inputs, **both).loss
torch.testing.assert_close(loss, by_hand + nsp_loss(scores, torch.tensor([IS_NEXT])))
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    reference = transformers.BertForPreTraining.from_pretrained(local_folder(MODEL)).float().eval()
    torch.testing.assert_close(reference(**inputs, **both).loss.detach(), loss)

# %% [markdown]
# ## 一种小到可以完全看透的语言
#
# 真实的文本太大，没法知道完美的模型会怎么说。所以我们自己造一种语言。每篇文档只讲一样东西；每样东西有两个动词，每个动词有两种用途。三分之二的句子前面还加了别的词，免得光看位置就能猜出许多。我们那句话就是其中的一句：

# %%
verbs = {"file": "opened closed", "list": "sorted copied", "key": "made lost", "page": "printed turned"}
verbs |= {"door": "locked painted", "song": "played sung", "bread": "baked cut", "boat": "built sailed"}
purposes = ["safety", "speed", "sharing", "testing", "saving", "teaching", "guests", "winter", "parties", "fun"]
openings = ["", "", "", "then ", "today ", "so ", "now and then ", "in the morning ", "at the end of the day "]
die = np.random.default_rng(0)
purposes_of = {verb: die.choice(purposes, 2, replace=False) for pair in verbs.values() for verb in pair.split()}
purposes_of["opened"] = np.array(["reading", "writing"])


# %%
def sentence(thing: str) -> str:
    verb = die.choice(verbs[thing].split())
    return f"{die.choice(openings)}the {thing} is {verb} for {die.choice(purposes_of[verb])}."


# %%
documents = [[sentence(thing) for _ in range(die.integers(4, 10))] for thing in die.choice(list(verbs), 800)]
for line in documents[0][:4]:
    print(line)
words = BertTokenizer.train((line for document in documents for line in document), vocab_size=200)
corpus = PackedCorpus.from_documents(documents, words)
dataset = PretrainingDataset(corpus, words, max_length=32, seed=0)
V = len(words)
print(f"{corpus.n_documents} documents, {corpus.n_tokens:,} tokens, vocabulary {V}, {len(dataset):,} pairs an epoch")

# %% [markdown]
# ### 训练之前就知道的事
#
# 一无所知的模型给 $V$ 个词元同样的概率，它的损失是 $\ln V$。首先要学的，是每个词元有多**常见**。知道这一点、却对句子一无所知的模型，损失就是**一元熵**（unigram entropy）
#
# $$ H = -\sum_v p_v \ln p_v $$
#
# 其中 $p_v$ 是词元 $v$ 在文本中所占的比例（`share`）。要降到 $H$ 以下，模型就必须利用上下文，也就是说，注意力必须起作用。NSP 的损失从 $\ln 2$ 开始，相当于抛硬币。

# %%
counts = np.bincount(corpus.ids, minlength=V)
share = counts[counts > 0] / counts.sum()
unigram_entropy = -(share * np.log(share)).sum()
print(f"ln V = {math.log(V):.2f}, unigram entropy {unigram_entropy:.2f}, ln 2 = {math.log(2):.2f}")

# %% [markdown]
# ## 训练
#
# 训练循环就是第 6 课最后的那个：取一个批次，算损失，算梯度，裁剪，用 AdamW 走一步；学习率在前十分之一里上升，然后下降。`scripts/pretrain.py` 做的也是这些，另有进度条和检查点，并且用较新的优化器 Muon 更新各层的矩阵（[docs/zh/recipe.md](../../docs/zh/recipe.md#各层的矩阵用-muon)）。


# %%
def batches(count: int, size: int = 32):
    collate, epoch, waiting = PretrainingCollator(words.pad_token_id), 0, []
    for _ in range(count):
        if len(waiting) < size:
            dataset.set_epoch(epoch)  # 新的句对，新的掩码
            waiting, epoch = np.random.default_rng(epoch).permutation(len(dataset)).tolist(), epoch + 1
        yield collate(dataset.__getitems__(waiting[:size]))
        waiting = waiting[size:]


# %%
def train(model: BertForPreTraining, steps: int = 400, rate: float = 4e-3) -> np.ndarray:
    optimizer, losses = build_optimizer(model.train().named_parameters(), rate, 0.01, (0.9, 0.98), 1e-8), []
    schedule = LambdaLR(optimizer, lambda step: learning_rate_factor("linear", step / steps, 0.1))
    for batch in batches(steps):
        outputs = model(**batch)
        outputs.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(), schedule.step(), optimizer.zero_grad()
        losses.append([term.item() for term in outputs.loss_terms.values()])
    return np.array(losses)  # (steps, 2)：MLM、NSP


# %% [markdown]
# 我们训练两个模型，只有起点不同。一个像 BERT 那样从噪声开始。另一个，第一层的头一开始就看左右的词元，第 2 课里见过（`look_at_neighbours`）。它仍然是普通的 BERT，训练可以改变每个参数。两者的噪声，标准差都是 0.08。BERT 用的是 0.02，这么小的模型用它会学得更慢。

# %%
size = {"vocab_size": V, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256}
size |= {"max_position_embeddings": 32, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
config = BertConfig(**size, initializer_range=0.08, attn_implementation="eager")
runs, trained = {}, {}
for name in ("from noise", "looking at neighbours"):
    torch.manual_seed(0)
    trained[name] = BertForPreTraining(config)
    if name == "looking at neighbours":
        look_at_neighbours(trained[name])
    runs[name] = train(trained[name])


# %%
def smooth(values: np.ndarray, width: int = 15) -> np.ndarray:
    return np.convolve(values, np.ones(width) / width, mode="valid")


def draw(ax, column: int, heights: dict[str, float], title: str) -> None:
    for (name, losses), style, color in zip(runs.items(), ("--", "-"), ("#d98032", "#1b3a5c"), strict=True):
        ax.plot(smooth(losses[:, column]), style, color=color, label=name)
    for name, height in heights.items():
        ax.axhline(height, color="grey", linestyle=":")
        ax.text(len(losses), height, name, ha="right", va="bottom")
    ax.set(xlabel="step", ylabel="loss", title=title, ylim=(0, 1.15 * max(heights.values())))


# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
draw(left, 0, {"ln V": math.log(V), "unigram entropy": unigram_entropy}, "words (MLM)")
draw(right, 1, {"ln 2": math.log(2)}, "sentence pairs (NSP)")
legend = left.legend(loc="upper right", bbox_to_anchor=(1, 0.84))

# %% [markdown]
# 左图是词（MLM），右图是句对（NSP）；虚线 from noise 从噪声开始，实线 looking at neighbours 一开始就看邻居。看虚线：它先快速下降，然后在一元熵附近**拐弯**。这时模型已经知道词有多常见，而它的头什么都看，又什么都没看。只有当某个头碰巧朝有用的方向多看了一点，并因此得到奖励，损失才会继续下降。在这种小小的语言里，这个弯只有几十步。换成真实的词表和真实的句子，它就变成一片**平台**，小模型会在上面停几分钟甚至几小时。（测量结果见 `docs/recipe.md`。）
#
# 另一个模型越过同样的高度只用了大约一半的步数，因为它的头本来就看邻居。NSP 来得最晚：只有认识词的模型，才看得出哪些句子是连着的。

# %%
noise, near = runs["from noise"][:, 0], runs["looking at neighbours"][:, 0]
# 比熵略低一点：选中的词元有十分之一保持原样、可以读到，位置也透露一点信息。
at_bend = [int((abs(smooth(run) - (unigram_entropy - 0.2)) < 0.3).sum()) for run in (noise, near)]
print(f"steps close to the unigram entropy: {at_bend[0]} from noise, {at_bend[1]} looking at neighbours")
assert at_bend[0] > 1.5 * at_bend[1]
assert near[-30:].mean() < noise[-30:].mean() - 0.25
assert runs["looking at neighbours"][-30:, 1].mean() < runs["from noise"][-30:, 1].mean() - 0.1
for name, losses in runs.items():
    print(f"{name:22} ends at MLM {losses[-30:, 0].mean():.2f}, NSP {losses[-30:, 1].mean():.2f}")

# %% [markdown]
# ### 它知道什么是真的吗？
#
# 在这种语言里，正确的概率我们都知道。*opened for* 后面是什么？*reading* 或 *writing*，各占一半。完美的模型会恰好这样说，也不可能说得更好。


# %%
def probabilities(model: BertForPreTraining, text: str) -> torch.Tensor:
    # 和训练时一样用句对。A 说的也是文件，但没有说打开的文件会怎样。
    before = " ".join(f"today the file is closed for {purpose}." for purpose in purposes_of["closed"])
    inputs = words(before, text, return_tensors="pt")
    with torch.no_grad():
        logits = model.eval()(**inputs).prediction_logits
    return logits[inputs["input_ids"] == words.mask_token_id][0].softmax(dim=-1)  # (V,)


# %%
questions = [("the file is opened for [MASK].", "reading", 0.5), ("the file is opened for [MASK].", "writing", 0.5)]
questions += [("the file is [MASK] for reading.", "opened", 1.0), ("the file is [MASK] for reading.", "closed", 0.0)]
for text, word, right in questions:
    said = [probabilities(model, text)[words.convert_tokens_to_ids(word)].item() for model in trained.values()]
    print(f"{text:32} {word:8} truth {right:.0%}, from noise {said[0]:.0%}, looking at neighbours {said[1]:.0%}")
    assert said[1] < 0.35 if right == 0 else said[1] > 0.2

# %% [markdown]
# ## 习题
#
# 把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会说出来。圆点表示难度。提示和答案都是折叠的，点开才看得见。
#
# ### 1. `clueless_loss`（●○○，3 分钟）
#
# 词表有 30,522 个词元（BERT-base 的词表），一无所知的模型，损失是多少？
#
# <details><summary>提示</summary>
#
# 它给每个词元同样的概率，损失是这个概率的自然对数取负。
# </details>
# <details><summary>答案</summary>
#
# ```python
# clueless_loss = math.log(30_522)
# ```
# </details>

# %%
clueless_loss = None  # 一个数
check("clueless_loss", clueless_loss)

# %% [markdown]
# ### 2. `sigmoid_loss`（●●●，12 分钟）
#
# 用 sigmoid 返回一个句对的 NSP 损失：`is_next` 是 1 时为 $-\ln \sigma(z_0 - z_1)$，是 0 时为 $-\ln \sigma(z_1 - z_0)$。两个分数都是 1,000 那么大，也不能出错：`math.exp(1000)` 超出了数的范围。
#
# <details><summary>提示</summary>
#
# $-\ln \sigma(d) = \ln(1 + e^{-d})$。$d$ 为负时，先把 $-d$ 提出来：$-d + \ln(1 + e^{d})$。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def sigmoid_loss(z0, z1, is_next):
#     difference = z0 - z1 if is_next else z1 - z0
#     return max(0.0, -difference) + math.log1p(math.exp(-abs(difference)))  # -log sigmoid(difference), kept in range
# ```
# </details>


# %%
def sigmoid_loss(z0, z1, is_next):
    pass  # 你的代码


check("sigmoid_loss", sigmoid_loss)

# %% [markdown]
# ### 3. `unigram_entropy_of`（●●○，6 分钟）
#
# 返回一个词元列表的一元熵 $-\sum_w p_w \ln p_w$。
#
# <details><summary>提示</summary>
#
# $p_w$ 是词元出现的次数除以列表的长度。`set(ids)` 里每种词元只有一个。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def unigram_entropy_of(ids):
#     shares = [ids.count(token) / len(ids) for token in set(ids)]
#     return -sum(share * math.log(share) for share in shares)
# ```
# </details>


# %%
def unigram_entropy_of(ids):
    pass  # 你的代码


check("unigram_entropy_of", unigram_entropy_of)
