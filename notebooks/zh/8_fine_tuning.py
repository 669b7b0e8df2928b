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
# # 8 · 微调：换一个头，留下学到的东西
#
# [English](../8_fine_tuning.ipynb)
#
# > **问题**：猜了那么多词，究竟换来了什么？
#
# - **需要**：第 4、6、7 课。
# - **学完以后**：能给预训练好的主体装上一个新的头，只训练这个头，或者训练整个模型，并且测出预训练值多少。
# - **时间**：30 分钟，习题另需 18 分钟。
#
# 预训练让模型靠猜词来认识词。猜出来的词本身谁也不需要。所以我们拆掉猜词的头，装上一个只有几百个参数的新头，再用几十个带标签的句子来训练。
#
# ![预训练只做一次，微调每个任务做一次](../../docs/images/diagrams/pretrain-finetune.zh.svg)
#
# 任务是：一句话说的是可以读写的东西（**0**），还是装着若干元素的东西（**1**）？要看的是，带标签的句子里**没有**出现过的词，模型知道多少。
#
# > **The file is opened for reading.** → 0

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
import tempfile

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

import minibert
from minibert import BertForPreTraining, BertForSequenceClassification, BertTokenizer
from minibert.course.zh import check
from minibert.finetuning.frozen import FrozenEncoderTrainer
from minibert.training.collation import DataCollatorWithPadding

MODEL = "minibert-tiny"

# %% [markdown]
# ## 六十四个带标签的句子
#
# 训练用八个名词，两类各四个，套进对两类都合适的八种句式。测试用同样的句式，但换成**别的**名词。于是，测试句与带标签的句子只有句式相同，而句式帮不上忙。

# %%
patterns = """The {} is returned by this method.|A new {} is created.|This is the name of the {}.|The {} must not be
changed.|Use the {} if it exists.|Return true if the {} is valid.|The first argument is a {}.|It depends on the {}."""
patterns = patterns.replace("\n", " ").split("|")
shown = [["file", "stream", "directory", "socket"], ["list", "tuple", "dictionary", "sequence"]]
unseen = [["path", "archive", "disk", "pipe", "connection", "document", "buffer", "terminal"]]
unseen += [["set", "array", "mapping", "string", "queue", "collection", "dict", "deque"]]


# %%
tokenizer = BertTokenizer.from_pretrained(MODEL)
collate = DataCollatorWithPadding(tokenizer)


def examples(nouns: list[list[str]]) -> list[dict]:
    texts = [(pattern.format(noun), label) for label in (0, 1) for noun in nouns[label] for pattern in patterns]
    return [{**tokenizer(text), "labels": label} for text, label in texts]


train_set, test_set = examples(shown), examples(unseen)
print(len(train_set), "sentences to learn from,", len(test_set), "to test with; the first:", patterns[0].format("file"))

# %% [markdown]
# ## 新的头
#
# 在第 4 课里，池化层由 `[CLS]` 的向量得到代表整段文本的一个向量，再用两行参数判断 B 是不是接着 A。新的头结构相同：一个矩阵，$C$ 个类别各占一行，算出它们的分数 $z$（Devlin et al. 2019，第 4.1 节；论文里省去了偏置）：
#
# $$ u = \tanh(W^P x_{\texttt{[CLS]}} + b^P) \qquad z = W^C\, \mathrm{Dropout}(u) + b^C \qquad
# \mathcal L = -\log \frac{e^{z_y}}{\sum_c e^{z_c}} $$
#
# | 符号 | 代码里 | 形状 | 含义 |
# | --- | --- | --- | --- |
# | $x_{\texttt{[CLS]}}$ | `last_hidden_state[:, 0]` | $(D)$ | 编码器在 `[CLS]` 处给出的向量 |
# | $u$ | `features` | $(D)$ | 池化后的向量，每个句子一个 |
# | $W^C, b^C$ | `weight`, `bias` | $(C, D)$, $(C)$ | 新的只有这些：$2 \cdot 128 + 2$ 个参数 |
# | $y$ | `labels` | | 正确的类别 |

# %%
torch.manual_seed(0)
model = BertForSequenceClassification.from_pretrained(MODEL, num_labels=2)
pretrained = BertForPreTraining.from_pretrained(MODEL)
old = dict(pretrained.named_parameters())
kept = [name for name, p in model.named_parameters() if name in old and torch.equal(p, old[name])]
new = {name: p.numel() for name, p in model.named_parameters() if name not in kept}
print(f"{len(kept)} tensors are those of the pretrained model; new are {new}")
assert sum(new.values()) == 2 * 128 + 2

# %% [markdown]
# ## 冻结：只训练新的参数
#
# 编码器不变，它对一个句子给出的向量就不变。所以只需运行一遍，把向量 `features` 存下来。剩下的是一个逻辑回归，即线性映射加 softmax，只有 258 个参数。设 $p$ 是模型给出的概率，$y'$ 对正确的类别是 1，其余是 0，那么 $N$ 个句子的梯度是（对 $b^C$，去掉 $u_n^\top$）
#
# $$ \frac{\partial \mathcal L}{\partial W^C} = \frac1N \sum_n (p_n - y'_n)\, u_n^\top $$
#
# ### 用循环

# %%
batch = collate(train_set)
labels = batch.pop("labels")
with torch.no_grad():
    features = model.bert(**batch).pooler_output  # (N, D)，只算这一次

# %%
N = len(features)
weight, bias = model.classifier.weight.detach().clone(), model.classifier.bias.detach().clone()
gradient = torch.zeros_like(weight)
for u, y in zip(features, labels.tolist(), strict=True):
    p = (weight @ u + bias).softmax(dim=0)
    for c in range(2):
        gradient[c] += (p[c] - (1 if c == y else 0)) * u / N

# %% [markdown]
# ### 用矩阵，并与 autograd 对照

# %%
one_hot = nn.functional.one_hot(labels).float()  # (N, C)
p = (features @ weight.T + bias).softmax(dim=-1)
torch.testing.assert_close((p - one_hot).T @ features / N, gradient)
loss = model(**batch, labels=labels).loss
torch.testing.assert_close(-(p * one_hot).sum(dim=-1).log().mean(), loss)
loss.backward()
torch.testing.assert_close(model.classifier.weight.grad, gradient)
print(f"loss {loss:.3f} before training; a coin would have {torch.tensor(2.0).log():.3f}")

# %% [markdown]
# ### 整个训练，手写
#
# 三百步普通的梯度下降几乎不花时间，因为编码器不用再运行。


# %%
def accuracy_of(logits: Tensor, labels: Tensor) -> float:
    return (logits.argmax(dim=-1) == labels).float().mean().item()


for _ in range(300):
    p = (features @ weight.T + bias).softmax(dim=-1)
    weight -= 0.5 * (p - one_hot).T @ features / N
    bias -= 0.5 * (p - one_hot).mean(dim=0)
print(f"accuracy on the sentences it learned from: {accuracy_of(features @ weight.T + bias, labels):.0%}")

# %%
test_batch = collate(test_set)
test_labels = test_batch.pop("labels")
with torch.no_grad():
    test_features = model.bert(**test_batch).pooler_output
by_hand = accuracy_of(test_features @ weight.T + bias, test_labels)
print(f"accuracy on sentences with other nouns: {by_hand:.0%}")
assert by_hand > 0.65
loaded = model.load_state_dict({"classifier.weight": weight, "classifier.bias": bias}, strict=False)
torch.testing.assert_close(model(**test_batch).logits.detach(), test_features @ weight.T + bias)

# %% [markdown]
# 瞎猜也能对一半。没有人告诉过这个模型 *archive* 或 *deque* 是什么意思，那是它自己读出来的。
#
# 参考实现也有同样的分类器。下面这一格需要 `transformers`。

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        model.save_pretrained(folder)
        reference = transformers.BertForSequenceClassification.from_pretrained(folder).eval()
        torch.testing.assert_close(reference(**test_batch).logits, model(**test_batch).logits)

# %% [markdown]
# ## 冻结、全部训练，还是从零开始
#
# 训练这样的模型有三种办法：只训练头（**frozen**，冻结），训练全部参数（**full**，全部），或者不经预训练、从随机数开始训练全部参数（**fresh**，从零）。样本这么少，运气的影响很大，所以每种办法各做三次，每次换一个随机种子。minibert 的 `Trainer` 运行的就是第 6 课的那个循环。


# %%
def start(way: str) -> BertForSequenceClassification:
    if way == "fresh":
        return BertForSequenceClassification(minibert.BertConfig.from_pretrained(MODEL))
    return BertForSequenceClassification.from_pretrained(MODEL, num_labels=2)


# %%
def train(way: str, seed: int) -> BertForSequenceClassification:
    torch.manual_seed(seed)  # 决定新头的初值，或者全部参数的初值
    model, trainer = start(way), FrozenEncoderTrainer if way == "frozen" else minibert.Trainer
    with tempfile.TemporaryDirectory() as folder:
        arguments = minibert.TrainingArguments(folder, **common, learning_rate=rates[way], seed=seed)
        trainer(model, arguments, collate, train_set).train()
    return model.eval()


# %%
common = {"num_train_epochs": 12, "per_device_train_batch_size": 16, "warmup_ratio": 0.1}
common |= {"save_strategy": "no", "disable_tqdm": True}
rates = {"frozen": 1e-2, "full": 3e-4, "fresh": 1e-3}
models = {way: [train(way, seed) for seed in range(3)] for way in rates}

# %%
scores = {}
with torch.no_grad():
    for way, runs in models.items():
        on_train = [accuracy_of(model(**batch).logits, labels) for model in runs]
        scores[way] = [accuracy_of(model(**test_batch).logits, test_labels) for model in runs]
        others = ", ".join(f"{score:.0%}" for score in scores[way])
        print(f"{way:6}: on the sentences it learned from {min(on_train):.0%}, on other nouns {others}")

# %%
mean = {way: sum(runs) / len(runs) for way, runs in scores.items()}
assert min(mean["frozen"], mean["full"]) > mean["fresh"] + 0.2 and mean["full"] < mean["frozen"] + 0.05
figure, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
bars = ax.barh(list(mean), list(mean.values()), color="#9db8d2")
for number, runs in enumerate(scores.values()):
    points = ax.plot(runs, [number] * len(runs), "o", color="black")
line = ax.axvline(0.5, color="black", linestyle=":")
ax.set(xlabel="accuracy on unseen nouns (dots: three seeds; dotted line: chance)", ylabel="trained", xlim=(0, 1))
ax.invert_yaxis()

# %% [markdown]
# 图中横轴是对没见过的名词的准确率，圆点是三个种子，虚线是瞎猜。三种办法都背下了训练样本，或者几乎全背下了。从零开始的模型学会了八个名词，对别的一无所知，和抛硬币差不多。冻结的模型只能用编码器在 `[CLS]` 处碰巧给出的东西。全部训练的模型还可以改变这些东西，但样本这么少，改了也没有好处。预训练换来的，是从有标签的词通向没有标签的词的路。
#
# ### 内部有什么变化
#
# 下面把测试句池化后的向量画在差异最大的两个方向（主成分）上，左边是全部微调之前，右边是之后：

# %%
with torch.no_grad():
    tuned = models["full"][0].bert(**test_batch).pooler_output
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for ax, (name, vectors) in zip(axes, {"before": test_features, "after": tuned}.items(), strict=True):
    centred = vectors - vectors.mean(dim=0)
    places = (centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T).numpy()  # (N, 2)
    for label, marker in ((0, "o"), (1, "^")):
        chosen, color = places[test_labels == label], "#1b3a5c" if label == 0 else "#d98032"
        points = ax.scatter(*chosen.T, marker=marker, color=color, s=18)
    ax.set(title=name, xlabel="first component", ylabel="second component")

# %% [markdown]
# 圆点是可以读写的东西，三角是装着若干元素的东西。我们那句话呢？（模型若拿不准，别忘了这些句式它都没见过。）

# %%
for text in ("The file is opened for reading.", "The archive is opened for reading.", "The queue is empty."):
    with torch.no_grad():
        p = models["full"][0](**tokenizer(text, return_tensors="pt")).logits.softmax(dim=-1)[0]
    print(f"{text:36} read and written {p[0]:4.0%}, holds items {p[1]:4.0%}")
    if text.startswith("The file"):
        assert p[0] > 0.9

# %% [markdown]
# ## 习题
#
# 把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会说出来。圆点表示难度。提示和答案都是折叠的，点开才看得见。
#
# ### 1. `classifier_parameters`（●○○，2 分钟）
#
# 在 BERT-base 上做五个类别的分类，新的头有多少参数？
#
# <details><summary>提示</summary>
#
# 一个线性映射 $D \to C$，带偏置。
# </details>
# <details><summary>答案</summary>
#
# ```python
# classifier_parameters = 5 * 768 + 5
# ```
# </details>

# %%
classifier_parameters = None  # 一个数
check("classifier_parameters", classifier_parameters)

# %% [markdown]
# ### 2. `logit_gradient`（●●●，10 分钟）
#
# 给定概率 `p` `(N, C)` 和标签 `labels` `(N)`，算出平均损失对 *logits* 的梯度 `(N, C)`。
#
# <details><summary>提示</summary>
#
# 对一段文本，它是概率，在标签处减去 1。取平均又带来什么？
# </details>
# <details><summary>答案</summary>
#
# ```python
# def logit_gradient(p, labels):
#     return (p - nn.functional.one_hot(labels, p.shape[-1])) / len(p)
# ```
# </details>


# %%
def logit_gradient(p, labels):
    pass  # 你的代码


check("logit_gradient", logit_gradient)

# %% [markdown]
# ### 3. `most_missed`（●○○，6 分钟）
#
# 返回分类器最常弄错的名词。`nouns`、`predicted` 和 `labels` 都是列表，每段文本一个元素。（然后拿 `models["full"][0]` 和 `unseen` 试试：弄错的名词有什么共同之处？）
#
# <details><summary>提示</summary>
#
# 把弄错的文本的名词留下来。列表有 `count` 方法。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def most_missed(nouns, predicted, labels):
#     missed = [noun for noun, ours, theirs in zip(nouns, predicted, labels, strict=True) if ours != theirs]
#     return max(missed, key=missed.count)
# ```
# </details>


# %%
def most_missed(nouns, predicted, labels):
    pass  # 你的代码


check("most_missed", most_missed)
