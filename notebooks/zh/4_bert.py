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
# # 4 · 一页之内的 BERT：两个头，和全部的组装
#
# [English](../4_bert.ipynb)
#
# > **问题**：向量怎样变成答案？BERT 就这些吗？
#
# - **需要**：第 1 到 3 课。
# - **学完以后**：能凭记忆写出完整的 BERT，装入训练好的参数，并证明它与软件包、与参考实现算出的结果相同。
# - **时间**：40 分钟，习题另需 24 分钟。
#
# 这一课是前半程的顶点。嵌入、注意力、编码器层都有了，还缺的是**头**，也就是顶上把向量变成答案的部分（不要与注意力头混淆）：被遮住的是哪个词？B 接在 A 后面吗？有了头，我们就把一切写在一页之内，大约八十行代码，装入软件包自带的参数，让**你的** BERT 把句子说完：
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
from safetensors.torch import load_file
from torch import Tensor, nn

from minibert import BertConfig, BertForPreTraining, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course.zh import check

# %%
MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
package = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)  # 用来比较的
pair = tokenizer("The file is opened for [MASK].", "It is an error if the file does not exist.", return_tensors="pt")
outputs = package(**pair, output_hidden_states=True)
x = outputs.hidden_states[-1][0]  # (T, D)：最后一层对每个词元的描述
tokens = pair.tokens()
hidden_token = tokens.index("[MASK]")
print(*tokens)

# %% [markdown]
# ## 两个头
#
# 编码器给每个词元留下一个向量，而我们有两个问题。
#
# **B 接在 A 后面吗？**（下一句预测，NSP）整个句对只有一个答案，所以只从一个向量读取，就是 `[CLS]` 的向量。**池化层**先把它准备好，再由一个两行的矩阵变成两个分数。
#
# **被遮住的是哪个词？**（掩码语言建模，MLM）这里，词表的每个词元都要有一个分数。向量再变换一次，然后与**词元表的每一行**比较：哪个词的向量最合，分数就最高。于是，开头用来查词的表，结尾又用来读词：两处**共享**同一个矩阵。
#
# $$ u = \tanh(W^P x_{\texttt{[CLS]}} + b^P) \qquad z^{\mathrm{NSP}} = W^N u + b^N $$
#
# $$ h_t = \mathrm{LayerNorm}\big(\mathrm{gelu}(W^M x_t + b^M)\big) \qquad
# z^{\mathrm{MLM}}_{t,v} = W_v \cdot h_t + b_v $$
#
# （Devlin et al. 2019，第 3.1 节。论文没有提到用 $W^M$ 做的变换，代码里有。）
#
# | 符号 | 代码里 | 形状 | 含义 |
# | --- | --- | --- | --- |
# | $x_t$ | `x[t]` | $(D)$ | 最后一层对词元 $t$ 的描述 |
# | $u$ | `pooled` | $(D)$ | 代表整段文本的向量 |
# | $W^P, b^P$ | `pooler` | $(D, D)$, $(D)$ | 池化层 |
# | $W^N, b^N$ | `nsp` | $(2, D)$, $(2)$ | NSP 头。0 号分数表示 B 接在后面，1 号表示 B 是随机的 |
# | $W^M, b^M$ | `dense` | $(D, D)$, $(D)$ | MLM 头的变换 |
# | $W_v, b_v$ | `word[v]`, `bias[v]` | $(D)$，一个数 | 词元 $v$ 的向量（第 1 课），和一个偏置 |
#
# ### 先用循环

# %%
pooler, nsp = package.bert.pooler.dense, package.nsp_head.linear
pooled = torch.empty(len(x[0]))
for d in range(len(pooled)):
    pooled[d] = math.tanh(sum(pooler.weight[d] * x[0]) + pooler.bias[d])
scores = [sum(nsp.weight[c] * pooled) + nsp.bias[c] for c in (0, 1)]
follows = math.exp(scores[0]) / (math.exp(scores[0]) + math.exp(scores[1]))
print(f"scores {scores[0]:.2f} and {scores[1]:.2f}: B follows A with probability {follows:.0%}")


# %%
def gelu(u: Tensor) -> Tensor:
    return u * 0.5 * (1 + torch.erf(u / math.sqrt(2)))


dense, norm, bias = package.mlm_head.dense, package.mlm_head.norm, package.mlm_head.bias
word = package.bert.embeddings.word.weight  # (V, D)
h = norm(gelu(x[hidden_token] @ dense.weight.T + dense.bias))
for name in ("reading", "writing", "file", "the", "[SEP]"):
    v = tokenizer.convert_tokens_to_ids(name)
    print(f"{name:8} scores {sum(word[v] * h) + bias[v]:6.2f}")

# %% [markdown]
# ### 再用矩阵

# %%
torch.testing.assert_close(torch.tanh(x[0] @ pooler.weight.T + pooler.bias), pooled)
all_scores = norm(gelu(x @ dense.weight.T + dense.bias)) @ word.T + bias  # (T, D) @ (D, V) -> (T, V)
torch.testing.assert_close(pooled @ nsp.weight.T + nsp.bias, outputs.seq_relationship_logits[0])
torch.testing.assert_close(all_scores, outputs.prediction_logits[0])
best = all_scores[hidden_token].softmax(dim=-1).topk(3)
for name, p in zip(tokenizer.convert_ids_to_tokens(best.indices), best.values, strict=True):
    print(f"The file is opened for {name:8} {p:.0%}")

# %% [markdown]
# ## 完整的 BERT，一块一块来
#
# ![BERT 的结构](../../docs/images/diagrams/architecture.zh.svg)
#
# 现在写那一页。其中三块就是第 1 到 3 课里你自己写的。它们都接收一个批次 `(B, S, D)`，也就是 B 段文本，每段 S 个位置，还有掩码 `(B, S)`，真正的词元处为真。新的只有四处 dropout：嵌入层之后，注意力权重上，以及每层的两次相加之前各一处。
#
# 下面几格依次是：第 1 课的嵌入，第 2 课的注意力，第 3 课的层；然后是编码器，它在嵌入之上叠起一摞层，返回每一层的结果；再是 MLM 头，它最后的矩阵**就是**词元表；最后是整个模型。


# %%
class Embeddings(nn.Module):
    def __init__(self, config: BertConfig):
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)
        self.segment = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.position = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.norm, self.dropout = nn.LayerNorm(config.hidden_size, eps=1e-12), nn.Dropout(0.1)

    def forward(self, token_ids: Tensor, segment_ids: Tensor) -> Tensor:  # (B, S) -> (B, S, D)
        positions = torch.arange(token_ids.shape[1])
        return self.dropout(self.norm(self.word(token_ids) + self.segment(segment_ids) + self.position(positions)))


# %%
class SelfAttention(nn.Module):
    def __init__(self, config: BertConfig):
        super().__init__()
        self.query, self.key, self.value, self.mix = (nn.Linear(config.hidden_size, config.hidden_size) for _ in "qkvm")
        self.heads, self.dropout = config.num_attention_heads, nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # (B, S, D), (B, S) -> (B, S, D)
        q, k, v = (f(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        scores = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).masked_fill(~mask[:, None, None], -math.inf)
        return self.mix((self.dropout(scores.softmax(dim=3)) @ v).transpose(1, 2).flatten(2))


# %%
class Layer(nn.Module):
    def __init__(self, config: BertConfig):
        super().__init__()
        D, inner = config.hidden_size, config.intermediate_size
        self.attention, self.up, self.down = SelfAttention(config), nn.Linear(D, inner), nn.Linear(inner, D)
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(D, eps=1e-12), nn.LayerNorm(D, eps=1e-12)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
        return self.feed_forward_norm(x + self.dropout(self.down(gelu(self.up(x)))))


# %%
class Encoder(nn.Module):
    def __init__(self, config: BertConfig):
        super().__init__()
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def forward(self, token_ids: Tensor, segment_ids: Tensor, mask: Tensor) -> list[Tensor]:  # L + 1 个 (B, S, D)
        states = [self.embeddings(token_ids, segment_ids)]
        for layer in self.layers:
            states.append(layer(states[-1], mask))
        return states


# %%
class MLMHead(nn.Module):
    def __init__(self, config: BertConfig, word: nn.Embedding):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=1e-12)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.decoder.weight = word.weight  # 共享

    def forward(self, x: Tensor) -> Tensor:  # (B, S, D) -> (B, S, V)
        return self.decoder(self.norm(gelu(self.dense(x))))


# %%
class Bert(nn.Module):
    def __init__(self, config: BertConfig):
        super().__init__()
        self.encoder = Encoder(config)
        self.pooler, self.nsp = nn.Linear(config.hidden_size, config.hidden_size), nn.Linear(config.hidden_size, 2)
        self.mlm = MLMHead(config, self.encoder.embeddings.word)

    def forward(self, token_ids: Tensor, segment_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x = self.encoder(token_ids, segment_ids, mask)[-1]  # (B, S, D)
        return self.mlm(x), self.nsp(torch.tanh(self.pooler(x[:, 0])))  # (B, S, V)，(B, 2)；[CLS] 是第一个词元


# %%
bert = Bert(BertConfig.from_pretrained(MODEL)).eval().requires_grad_(False)
print(f"a BERT with {sum(p.numel() for p in bert.parameters()):,} parameters, all of them random")
assert sum(p.numel() for p in bert.parameters()) == package.num_parameters()

# %% [markdown]
# ## 加载：十行改名
#
# 训练好的参数存在一个文件里，像一部字典：由名字查到矩阵。名字沿用 2018 年第一个 PyTorch 版的 BERT，今天能下载到的 BERT 几乎都用这套名字。我们的名字短一些，所以要翻译一下。（附录 A 会一个字节一个字节地打开这样的文件。）

# %%
NAMES = {"bert.embeddings.": "encoder.embeddings.", "bert.encoder.layer.": "encoder.layers.", "bert.": ""}
NAMES |= {"word_embeddings": "word", "token_type_embeddings": "segment", "position_embeddings": "position"}
NAMES |= {"embeddings.LayerNorm": "embeddings.norm", "attention.self.": "attention."}
NAMES |= {"attention.output.dense": "attention.mix", "attention.output.LayerNorm": "attention_norm"}
NAMES |= {"intermediate.dense": "up", "output.dense": "down", "output.LayerNorm": "feed_forward_norm"}
NAMES |= {"pooler.dense": "pooler", "cls.seq_relationship": "nsp", "cls.predictions.bias": "mlm.decoder.bias"}
NAMES |= {"cls.predictions.transform.dense": "mlm.dense", "cls.predictions.transform.LayerNorm": "mlm.norm"}


# %%
def rename(name: str) -> str:
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


tensors = {rename(name): t.float() for name, t in load_file(local_folder(MODEL) / "model.safetensors").items()}
tensors["mlm.decoder.weight"] = tensors["encoder.embeddings.word.weight"]  # tied: the file holds it once
print(bert.load_state_dict(tensors))  # 严格模式：多一个、少一个名字都会报错

# %% [markdown]
# 它是 BERT 吗？取两段长短不同的文本，好让掩码有事可做，再把每个真正的词元的每个分数，与软件包的比较：

# %%
texts = ["The file is opened for [MASK].", "A list is a [MASK] sequence. Items may be added and removed."]
batch = tokenizer(texts, padding=True, return_tensors="pt")
token_ids, segment_ids, mask = batch["input_ids"], batch["token_type_ids"], batch["attention_mask"].bool()
mlm, nsp_scores = bert(token_ids, segment_ids, mask)
theirs = package(**batch)
torch.testing.assert_close(mlm[mask], theirs.prediction_logits[mask])
torch.testing.assert_close(nsp_scores, theirs.seq_relationship_logits)
print(f"{mlm[mask].numel():,} scores, largest difference {(mlm - theirs.prediction_logits)[mask].abs().max():.1g}")

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    reference = transformers.BertForPreTraining.from_pretrained(local_folder(MODEL)).float().eval()
    expected = reference(**batch)
    torch.testing.assert_close(mlm[mask], expected.prediction_logits.detach()[mask])
    torch.testing.assert_close(nsp_scores, expected.seq_relationship_logits.detach())
    print("equal to the reference")

# %% [markdown]
# **你写出了 BERT**，什么也没有省略。同一个类，换成 12 层、768 维，就是 BERT-base，它能装入谷歌公布的参数。软件包在此之外加上的，是稳健（错误信息、旧版文件、保存）和速度（不在填充上做功；附录 C 就从这一页开始）。
#
# ## 答案沿着残差流成形
#
# 在第 3 课里，我们跟着 `[MASK]` 的向量走过一站又一站。现在可以在**每一站**都问它：你会说什么？虽然训练时模型只需要在终点回答：

# %%
inputs = tokenizer("The file is opened for [MASK].", return_tensors="pt")
states = bert.encoder(inputs["input_ids"], inputs["token_type_ids"], inputs["attention_mask"].bool())
place, stations = inputs.tokens().index("[MASK]"), {"embeddings": states[0]}
for number, layer in enumerate(bert.encoder.layers):
    before = states[number]
    y = layer.attention_norm(before + layer.attention(before, inputs["attention_mask"].bool()))
    stations |= {f"attention {number}": y, f"feed-forward {number}": states[number + 1]}

# %%
reading = tokenizer.convert_tokens_to_ids("reading")
probability = {}
for name, vectors in stations.items():
    prediction = bert.mlm(vectors[:, place]).softmax(dim=-1)[0]  # (V,)
    probability[name] = prediction[reading].item()
    best = prediction.topk(3)
    words = zip(tokenizer.convert_ids_to_tokens(best.indices), best.values, strict=True)
    print(f"{name:15}", ", ".join(f"{word} {p:.0%}" for word, p in words))
assert probability["feed-forward 1"] == max(probability.values())

# %%
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(list(probability), list(probability.values()), "o-", color="#1b3a5c")
ax.set(xlabel="station", ylabel="probability of “reading”", title="the answer forms along the residual stream")
ax.set_ylim(bottom=0)
ax.grid(alpha=0.3)

# %% [markdown]
# 上图：各站给 *reading* 的概率，到终点最高。
#
# ## 参数都在哪里
#
# ![参数都在哪里](../../docs/images/diagrams/parameters.zh.svg)
#
# 我们的小 BERT，参数大多在词元表里；大的 BERT，参数大多在各层里：


# %%
def count(bert: Bert) -> dict[str, int]:
    parts = {"embeddings": bert.encoder.embeddings, "layers": bert.encoder.layers}
    parts |= {"pooler": bert.pooler, "NSP head": bert.nsp}
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    return sizes | {"MLM head": sum(p.numel() for p in bert.mlm.parameters()) - bert.mlm.decoder.weight.numel()}


with torch.device("meta"):  # shapes without memory
    base = Bert(BertConfig.base())
for name, sizes in (("ours", count(bert)), ("BERT-base", count(base))):
    print(f"{name:9}", ", ".join(f"{part} {size:,}" for part, size in sizes.items()), f"= {sum(sizes.values()):,}")

# %% [markdown]
# ## 习题
#
# 把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会说出来。圆点表示难度。提示和答案都是折叠的，点开才看得见。
#
# ### 1. `mlm_head_parameters`（●○○，4 分钟）
#
# BERT-base 的 MLM 头有多少参数（$D = 768$，$V = 30{,}522$）？与别处共享的词元表不算。
#
# <details><summary>提示</summary>
#
# 一个 $D \to D$ 的线性映射，带偏置；一个层归一化；词表的每个词元各一个数。
# </details>
# <details><summary>答案</summary>
#
# ```python
# mlm_head_parameters = 768 * 768 + 768 + 2 * 768 + 30_522
# ```
# </details>

# %%
mlm_head_parameters = None  # 一个数
check("mlm_head_parameters", mlm_head_parameters)

# %% [markdown]
# ### 2. `complete`（●●●，12 分钟）
#
# 把文本里的 `[MASK]` 换成最合适的词元，返回小写的文本。`bert` 是和你写的一样的模型：输入词元编号、片段编号 `(B, S)` 和掩码 `(B, S)`（词元处为真），返回 MLM 头的分数 `(B, S, V)` 和 NSP 头的分数。
#
# <details><summary>提示</summary>
#
# `tokenizer(text, return_tensors="pt")` 含有全部三个输入。把等于 `tokenizer.mask_token_id` 的编号换掉，再用 `tokenizer.decode(ids, skip_special_tokens=True)`。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def complete(bert, tokenizer, text):
#     inputs = tokenizer(text, return_tensors="pt")
#     ids = inputs["input_ids"].clone()
#     hidden = ids == tokenizer.mask_token_id
#     scores, _ = bert(ids, inputs["token_type_ids"], inputs["attention_mask"].bool())
#     ids[hidden] = scores[hidden].argmax(dim=-1)
#     return tokenizer.decode(ids[0].tolist(), skip_special_tokens=True)
# ```
# </details>


# %%
def complete(bert, tokenizer, text):
    pass  # 你的代码


check("complete", complete)

# %% [markdown]
# ### 3. `make_batch`（●●○，8 分钟）
#
# 做成一个批次：由几个长短不一的词元编号列表，得到 `token_ids` `(B, S)`，右边用 `pad_id` 补齐；还有掩码 `(B, S)`，真正的词元处为真。两者都要返回。
#
# <details><summary>提示</summary>
#
# 数的列表乘以次数，就是更长的列表：`[pad_id] * 3`。真正的词元，编号也可能等于 `pad_id`，所以掩码要由长度来定。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def make_batch(lists, pad_id):
#     longest = max(map(len, lists))
#     token_ids = torch.tensor([ids + [pad_id] * (longest - len(ids)) for ids in lists])
#     return token_ids, torch.tensor([[place < len(ids) for place in range(longest)] for ids in lists])
# ```
# </details>


# %%
def make_batch(lists, pad_id):
    pass  # 你的代码


check("make_batch", make_batch)
