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
# # B · 一致性：差异表找出 bug
#
# [English](../B_parity.ipynb)
#
# > **问题**：怎么知道一个手写的 BERT **真的是** BERT？
#
# - **需要**：第 4 课；名称见附录 A。
# - **学完以后**：能逐模块比较两个模型，看懂以“最末位单位”计的差异，找出用户都察觉不到的 bug。
# - **时间**：25 分钟，习题另需 23 分钟。
#
# 看它的回答是看不出来的。模型里有个小错，说的话照样通顺。所以我们让两个模型并排运行，记下每个模块的输出，一个数一个数地比。最先出现差异的那个模块，就是 bug 所在。

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
import copy
import math

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from minibert import BertForPreTraining, BertTokenizer
from minibert.checkpoint.opened import local_folder
from minibert.course.zh import check
from minibert.inference.parity import compare_modules, plant_fault

# %%
MODEL = "minibert-tiny"
tokenizer = BertTokenizer.from_pretrained(MODEL)
good = BertForPreTraining.from_pretrained(MODEL).requires_grad_(False)
inputs = tokenizer("The file is opened for [MASK].", return_tensors="pt")
hidden = inputs["input_ids"][0] == tokenizer.mask_token_id


def answers_of(model: nn.Module) -> str:
    best = model(**inputs).prediction_logits[0, hidden].softmax(dim=-1)[0].topk(3)
    words = tokenizer.convert_ids_to_tokens(best.indices)
    return ", ".join(f"{word} {p:.1%}" for word, p in zip(words, best.values, strict=True))


# %% [markdown]
# ## 谁也看不见的 bug
#
# 下面这种错误真的会发生。BERT 的 LayerNorm 在方差上加 $10^{-12}$，PyTorch 的默认值是 $10^{-5}$。只要有一处忘了写明，就会这样：

# %%
buggy = copy.deepcopy(good)
buggy.bert.encoder.layer[1].attention_norm.eps = 1e-5
print("right:", answers_of(good))
print("buggy:", answers_of(buggy))

# %% [markdown]
# 词和百分比都一样。没有用户会察觉，准确率也不会掉多少。但这已经不是训练出来的那个模型了。在公开的 BERT 重写版本里，我们见过这样的 bug：忘了 LayerNorm 的常数，dropout 放错了地方，解码器没有与词元表共享。它们的测试只比较默认设置，或者只看**平均**差异。
#
# ## 怎样度量差异
#
# 差异有多大？对这样大小的数，算不算大？各用一个量来回答：
#
# $$ \Delta = \max_{i} |a_i - b_i| \qquad\qquad \mathrm{ulp}(a, b) = \big|\,n(a) - n(b)\,\big| $$
#
# | 符号 | 代码里 | 含义 |
# | --- | --- | --- |
# | $a_i, b_i$ | `found`, `expected` | 同一个模块在两个模型里给出的数 |
# | $\Delta$ | `difference` | 最大的差异。如果取平均，一个错的数会淹没在许多对的数里 |
# | $n(a)$ | `ordinal(a)` | 把同类型的所有数从小到大排好，$a$ 的序号 |
# | $\mathrm{ulp}$ | `ulp` | 从 $a$ 一个数一个数地走到 $b$ 要多少步，即**最末位单位**（units in the last place） |
#
# PyTorch 通常用的数（fp32）是 $\pm m \cdot 2^e$，其中 $m$ 有 24 位（IEEE 754）。在 1 附近，下一个数相距 $2^{-23} \approx
# 10^{-7}$；在 1,000 附近，相距 $6 \cdot 10^{-5}$。所以同样的差异，可能微不足道，也可能很大；ULP 数的则是步数。这很容易，因为把正数的二进制位当作整数来读，次序不变：

# %%
for value in (1.0, 1000.0, 1e-6):
    bits = torch.tensor(value).view(torch.int32)
    following = (bits + 1).view(torch.float32).item()
    print(f"{value:8g}: bits {bits.item():032b}, the next number is {following - value:.2g} away")
    assert following == torch.nextafter(torch.tensor(value), torch.tensor(math.inf)).item()

# %% [markdown]
# ### 先用循环
#
# 一个模块，一次一个数：常数写错的 LayerNorm 会给出什么？


# %%
def ordinal(number: float) -> int:
    bits = torch.tensor(number).view(torch.int32).item()
    return bits if bits >= 0 else -(2**31) - bits  # 负数的存放次序相反


x = torch.randn(6, generator=torch.Generator().manual_seed(0))
expected = nn.functional.layer_norm(x, (6,), eps=1e-12)
found = nn.functional.layer_norm(x, (6,), eps=1e-5)
for a, b in zip(found.tolist(), expected.tolist(), strict=True):
    print(f"{a:10.7f} and {b:10.7f}: difference {abs(a - b):.1e}, {abs(ordinal(a) - ordinal(b)):3} ulp")

# %% [markdown]
# ### 再看整个模型
#
# PyTorch 允许我们旁听：每个模块一有输出，就会调用它的**前向钩子**（forward hook）。我们给每个自己带参数的模块挂上钩子，让两个模型读同一句话，然后相减。（我们的 `named_modules` 给出文件里的名称，即附录 A 里的那些。）


# %%
def record(model: nn.Module) -> dict[str, Tensor]:
    outputs, hooks = {}, []
    for name, module in model.named_modules():
        if getattr(module, "weight", None) is not None:
            hooks.append(module.register_forward_hook(lambda m, i, output, name=name: outputs.update({name: output})))
    model(**inputs)
    for hook in hooks:
        hook.remove()
    return outputs


# %%
def differences(buggy: nn.Module) -> dict[str, float]:
    found, expected = record(buggy), record(good)
    return {name: (found[name] - expected[name]).abs().max().item() for name in expected}


table = differences(buggy)
for name, difference in list(table.items())[12:22]:
    print(f"{name.removeprefix('bert.encoder.'):32} {difference:.1e}")
first = next(name for name, difference in table.items() if difference > 0)
assert buggy.get_submodule(first) is buggy.bert.encoder.layer[1].attention_norm
print("the first difference is in", first)

# %% [markdown]
# 在它之前，差异都**恰好**是零，所以 bug 不可能在那里。在它之后，要么是 bug 的后果，要么与 bug 无关。所以，凡是能逐位相同的地方，我们都坚持逐位相同：一旦容许误差，从哪一行开始算有差异，就见仁见智了。
#
# 下面是四个 bug，每个只在一处：wrong eps（常数写错）、gelu by tanh（GELU 换成了 tanh 近似）、bias forgotten（忘了偏置）、no scaling by √K（没有除以 √K）。差异在穿过模型的途中，可能变大，也可能变小；只看末端，看不出它从哪里开始：

# %%
bugs = {name: copy.deepcopy(good) for name in ("wrong eps", "gelu by tanh", "bias forgotten", "no scaling by √K")}
bugs["wrong eps"].bert.encoder.layer[0].attention_norm.eps = 1e-5
bugs["gelu by tanh"].bert.encoder.layer[1].feed_forward.activation = nn.GELU(approximate="tanh")
bugs["bias forgotten"].bert.encoder.layer[0].attention.value.bias.zero_()
for parameter in bugs["no scaling by √K"].bert.encoder.layer[1].attention.query.parameters():
    parameter.mul_(math.sqrt(32))
tables = {name: differences(model) for name, model in bugs.items()}
for name, table in tables.items():
    print(f"{name:17} {next(module for module, difference in table.items() if difference > 0)}")

# %% [markdown]
# tanh 的差异到 `output.dense`（我们的 `down`）才显现，晚了一个模块，因为激活函数没有参数，那里没有人旁听。而 `query` 里的 bug 后面跟着两个零，在图上是个缺口，因为 `key` 和 `value` 不依赖查询。（纵轴是最大的差异，对数刻度；每个 bug 从它所在的地方画起，之前的零没有画。）

# %%
figure, ax = plt.subplots(figsize=(10, 6), layout="constrained")
for (name, table), style in zip(tables.items(), ("o-", "s--", "^-.", "d:"), strict=True):
    ax.semilogy([difference or math.nan for difference in table.values()], style, label=name, ms=4)
names = [name.removeprefix("bert.").removeprefix("encoder.").replace("layer.", "") for name in table]
ax.set_xticks(range(len(names)), names, rotation=90)
ax.set(ylabel="largest difference", title="each bug begins where it is; zero before that is not drawn")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# ## 包里的差异表
#
# `compare_modules` 做的是同一件事，不过是与 `transformers` 比，并用附录 A 的表翻译名称。命令行是 `python scripts/parity.py --model minibert-tiny`。`plant_fault` 给一个权重加上一点噪声，让你看到这张表怎样起作用。

# %%
if importlib.util.find_spec("transformers") is None:
    print("NOT CHECKED against the reference: transformers is not installed; pip install -e '.[test]'")
else:
    import transformers

    transformers.logging.disable_progress_bar()
    folder = local_folder(MODEL)
    reference = transformers.BertForPreTraining.from_pretrained(folder).float().eval()
    rows = compare_modules(good, reference, inputs)
    assert all(row.ulp == 0 for row in rows)
    print("all", len(rows), "rows are equal to the last bit")

# %%
planted = copy.deepcopy(good)
plant_fault(planted, "layer.1.feed_forward.up")
table = differences(planted)
first = next(name for name, difference in table.items() if difference > 0)
print("planted in layer.1.feed_forward.up, found in", first.removeprefix("bert.encoder."))
assert planted.get_submodule(first) is planted.bert.encoder.layer[1].feed_forward.up

# %% [markdown]
# ## 表看不见什么
#
# 给它看什么，它就比什么。训练中的 bug（dropout 放错地方、梯度算错、对偏置做了权重衰减），只做评测就看不见。换一种设置才出现的 bug，用这种设置也看不见。所以我们的测试还比较不寻常的设置、带填充的批次、梯度和训练步骤；哪个测试证明哪个公式，写在 `docs/zh/equations.md` 里。
#
# ## 习题
#
# 把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会说出来。圆点表示难度。提示和答案都是折叠的，点开才看得见。
#
# ### 1. `numbers_from_1_to_2`（●○○，4 分钟）
#
# 从 1 到 2（含 1，不含 2），有多少个 fp32 数？
#
# <details><summary>提示</summary>
#
# 指数不变。还剩多少位？
# </details>
# <details><summary>答案</summary>
#
# ```python
# numbers_from_1_to_2 = 2**23
# ```
# </details>

# %%
numbers_from_1_to_2 = None  # 一个数
check("numbers_from_1_to_2", numbers_from_1_to_2)

# %% [markdown]
# ### 2. `first_difference`（●○○，4 分钟）
#
# 返回第一个有差异的模块的名称，没有就返回 `None`。`table` 是从名称到差异的字典，按前向计算的次序排列。
#
# <details><summary>提示</summary>
#
# 字典保持次序。`next(names, None)` 取第一个，没有就取 `None`。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def first_difference(table):
#     return next((name for name, difference in table.items() if difference > 0), None)
# ```
# </details>


# %%
def first_difference(table):
    pass  # 你的代码


check("first_difference", first_difference)

# %% [markdown]
# ### 3. `find_bug`（●●●，15 分钟）
#
# 有人给你一个好的模型和一个有 bug 的模型。返回第一个带 `weight`、而输出不同的模块的名称。调用 `good` 和 `bad` 的方式是 `good(**inputs)`。
#
# <details><summary>提示</summary>
#
# 上面的 `record` 和 `differences` 差不多都做了，只是模型和句子是固定的。
# </details>
# <details><summary>答案</summary>
#
# ```python
# def find_bug(good, bad, inputs):
#     def record(model):
#         outputs, hooks = {}, []
#         for name, module in model.named_modules():
#             if getattr(module, "weight", None) is not None:
#                 hooks.append(
#                     module.register_forward_hook(lambda m, i, output, name=name: outputs.update({name: output}))
#                 )
#         model(**inputs)
#         for hook in hooks:
#             hook.remove()
#         return outputs
#
#     found, expected = record(bad), record(good)
#     return next(name for name in expected if not torch.equal(found[name], expected[name]))
# ```
# </details>


# %%
def find_bug(good, bad, inputs):
    pass  # 你的代码


check("find_bug", find_bug)
