"""Every word in the diagrams, in both languages. Symbols, names and numbers are the same in both, and not here."""

from collections.abc import Callable

CHINESE = {
    # several diagrams
    "word": "词元",
    "segment": "片段",
    "position": "位置",
    "embeddings": "嵌入层",
    "self-attention": "自注意力",
    "feed-forward": "前馈网络",
    "LayerNorm": "层归一化",
    "pooler": "池化层",
    "MLM head": "MLM 头",
    "NSP head": "NSP 头",
    "encoder": "编码器",
    # architecture
    "BERT, from token ids to predictions": "BERT：从词元编号到预测",
    "token ids, one for each token": "词元编号，每个词元一个",
    "the sum of three look-ups, then LayerNorm": "三次查表之和，再做层归一化",
    "one encoder layer": "一个编码器层",
    "L layers": "L 层",
    "add, LayerNorm": "相加，层归一化",
    "through F dimensions and back": "先升到 F 维，再降回来",
    "H heads: the only place where tokens meet": "H 个头：词元只在这里相遇",
    "every token": "每个词元",
    "only [CLS]": "只取 [CLS]",
    "which token was hidden?": "被遮住的是哪个词元？",
    "does B follow A?": "B 是 A 的下一句吗？",
    # embedding-sum
    "A token is the sum of three look-ups": "一个词元是三次查表之和",
    "tokens": "词元",
    "(V, D) table": "(V, D) 的表",
    "(2, D) table": "(2, D) 的表",
    "(512, D) table": "(512, D) 的表",
    "sentence A": "句子 A",
    "sentence B": "句子 B",
    "LayerNorm, dropout": "层归一化，dropout",
    "one row of D numbers for each token": "每个词元一行，D 个数",
    # attention-heads
    "Attention: queries, keys and values, cut into heads and merged again": "注意力：查询、键和值，切成头，再合并",
    "queries": "查询",
    "keys": "键",
    "values": "值",
    "three projections": "三个投影",
    "split into heads": "切成 H 个头",
    "each head for itself": "每个头各算各的",
    "softmax of each row": "逐行 softmax",
    "shares × values": "份额 × 值",
    "merge heads": "合并各头",
    "mix": "混合",
    # residual-stream
    "The residual stream: a token's vector, to which each part adds": "残差流：一个词元的向量，各部分往上加",
    "layer 0": "第 0 层",
    "layer L − 1": "第 L − 1 层",
    "read": "读",
    "add": "加",
    "from the other tokens": "来自其他词元",
    "heads read the end": "各种头读取末端",
    # pairs-and-masking
    "From a document to an example: pairs, then 80/10/10": "从文档到样本：先配句对，再按 80/10/10 遮住",
    "a document": "一篇文档",
    "the same document": "同一篇文档",
    "another document": "另一篇文档",
    "sentence A: where the pair begins": "句子 A：句对的开头",
    "the next sentences": "接下来的句子",
    "sentences from anywhere else": "别处的句子",
    "half of the pairs": "一半句对",
    "the other half": "另一半",
    "label 0: B follows A": "标签 0：B 接着 A",
    "label 1: B is random": "标签 1：B 是随机的",
    "15% of the tokens are chosen": "选中 15% 的词元",
    "a random token": "随机词元",
    "the token itself": "词元本身",
    "the model must say what stood there": "模型要说出原来是什么",
    "the other 85% are seen as they are, and have no label": "其余 85% 原样可见，没有标签",
    # pretrain-finetune
    "Pretrain once, fine-tune often": "预训练一次，微调多次",
    "text without labels": "无标注文本",
    "a lot of it": "量很大",
    "pretraining": "预训练",
    "MLM and NSP, days": "MLM 与 NSP，以天计",
    "fine-tuning": "微调",
    "minutes each": "每次几分钟",
    "the same encoder": "同一个编码器",
    "weights copied": "复制权重",
    "new head": "新的头",
    "few labels": "少量标注",
    "a class for a text": "给文本分类",
    "a tag for each token": "给每个词元打标签",
    "where an answer stands": "找出答案的位置",
    # padded-packed
    "Padded and packed: the same batch twice": "填充与打包：同一个批次的两种放法",
    "padded": "填充",
    "packed": "打包",
    "what attention sees": "注意力看到的",
    "row 0": "第 0 行",
    "row 1": "第 1 行",
    "row 2": "第 2 行",
    ", ": "，",
    "cells": "格",
    "of them padding": "格是填充",
    "rows, no padding": "行，没有填充",
    "sequences of equal length together": "等长的序列放在一起",
    # parameters
    "Where the parameters of BERT-base are": "BERT-base 的参数都在哪里",
    "word table": "词元表",
    "position table": "位置表",
    "segment table": "片段表",
    "attention": "注意力",
    "all LayerNorms": "所有层归一化",
    "rest of the MLM head": "MLM 头的其余部分",
    "layers": "层",
    "parameters": "个参数",
    "shared with the MLM head": "与 MLM 头共享",
}


def english(words: str) -> str:
    """The words themselves. Raises `KeyError` where the table lacks them."""
    CHINESE[words]
    return words


def chinese(words: str) -> str:
    """What they are in Chinese."""
    return CHINESE[words]


LANGUAGES: dict[str, Callable[[str], str]] = {"": english, ".zh": chinese}  # by the suffix of the file
