"""The diagrams of what surrounds the model: its data, its two trainings, its batches, its parameters."""

from collections import Counter

from canvas import QUIET, Canvas
from model import PAIR, Words

from minibert import BertConfig, BertForPreTraining
from minibert.model.skeleton import skeleton


def pairs_and_masking(w: Words) -> Canvas:
    c = Canvas(920, 560, w("From a document to an example: pairs, then 80/10/10"))
    c.box(20, 24, 250, 46, w("a document"), w("sentence A: where the pair begins"))
    c.box(340, 24, 230, 46, w("the same document"), w("the next sentences"))
    c.box(640, 24, 240, 46, w("another document"), w("sentences from anywhere else"))
    c.line((455, 72), (455, 128), (490, 128))
    c.line((760, 72), (760, 128), (640, 128))
    c.text(446, 92, w("half of the pairs"), 13, QUIET, "right")
    c.text(750, 92, w("the other half"), 13, QUIET, "right")
    c.box(490, 110, 150, 36, w("sentence B"), kind="choice")
    c.text(446, 116, w("label 0: B follows A"), 13, style="right")
    c.text(772, 116, w("label 1: B is random"), 12, style="left", limit=140)
    c.arrow((145, 72), (145, 192))
    c.arrow((565, 148), (565, 192))
    tokens = PAIR
    chosen = {2: "[MASK]", 6: "list", 9: "read"}
    for number, token in enumerate(tokens):
        x = 60 + number * 71
        c.box(x, 194, 66, 30, token, kind="choice" if number in chosen else "data", style="code", size=12)
    c.text(20, 254, w("15% of the tokens are chosen"), 14, style="left bold")
    for number, share, name in ((2, "80%", "[MASK]"), (6, "10%", "a random token"), (9, "10%", "the token itself")):
        x = 93 + number * 71
        c.arrow((x, 226), (x, 302))
        c.text(x + 9, 254, share, 14, style="left bold")
        c.box(x - 70, 304, 140, 34, name if name == "[MASK]" else w(name), kind="choice")
        c.arrow((x, 340), (x, 380))
    for number, token in enumerate(tokens):
        c.box(60 + number * 71, 382, 66, 30, chosen.get(number, token), style="code", size=12,
              kind="choice" if number in chosen else "data")  # fmt: skip
    for number in chosen:
        x = 93 + number * 71
        c.arrow((x, 414), (x, 452))
        c.box(x - 33, 454, 66, 30, tokens[number], kind="plain", style="code", size=12)
    c.text(844, 469, "labels", 12, QUIET, "code")
    c.text(60, 508, w("the model must say what stood there"), 14, style="left bold")
    c.text(60, 534, w("the other 85% are seen as they are, and have no label"), 13, QUIET, "left")
    return c


def pretrain_finetune(w: Words) -> Canvas:
    c = Canvas(900, 380, w("Pretrain once, fine-tune often"))
    c.text(210, 30, w("pretraining"), 16, style="bold")
    c.text(210, 52, w("MLM and NSP, days"), 13, QUIET)
    c.text(690, 30, w("fine-tuning"), 16, style="bold")
    c.text(690, 52, w("minutes each"), 13, QUIET)
    c.box(20, 178, 150, 50, w("text without labels"), w("a lot of it"))
    c.arrow((172, 203), (208, 203))
    c.box(210, 168, 150, 70, w("encoder"), kind="part", size=16)
    c.arrow((285, 166), (285, 134))
    c.box(210, 98, 150, 34, "MLM + NSP", kind="choice")
    c.text(408, 186, w("weights copied"), 12, QUIET, limit=94)
    c.line((362, 203), (456, 203))
    tasks = (("a class for a text", 80), ("a tag for each token", 180), ("where an answer stands", 280))
    for name, top in tasks:
        if top != 180:
            c.line((456, 203), (456, top + 23))
        c.arrow((456, top + 23), (482, top + 23), dashed=True)
        c.box(484, top, 132, 46, w("the same encoder"), kind="part", size=13)
        c.arrow((618, top + 23), (642, top + 23))
        c.box(644, top, 76, 46, w("new head"), kind="choice", size=13)
        c.text(730, top + 23, w(name), 13, style="left", limit=162)
        c.arrow((550, top + 74), (550, top + 48))
        c.text(560, top + 64, w("few labels"), 12, QUIET, "left")
    return c


def padded_packed(w: Words) -> Canvas:
    batch = [["the", "cat", "sat"], ["hello"], ["it", "is", "so"]]
    seq_len = max(map(len, batch))
    order = sorted(range(len(batch)), key=lambda row: len(batch[row]))  # as `Packing` lays them on a CPU
    real = sum(map(len, batch))
    c = Canvas(860, 380, w("Padded and packed: the same batch twice"))
    c.text(175, 30, w("padded"), 15, style="bold")
    c.text(175, 52, f"(B, S, D) = ({len(batch)}, {seq_len}, D)", 13, QUIET)
    c.text(470, 30, w("packed"), 15, style="bold")
    c.text(470, 52, f"(T, D) = ({real}, D)", 13, QUIET)
    c.text(716, 30, w("what attention sees"), 15, style="bold")
    c.text(716, 52, w("sequences of equal length together"), 13, QUIET)
    for row, words in enumerate(batch):
        c.text(20, 105 + row * 60, w(f"row {row}"), 13, QUIET, "left")
        for column in range(seq_len):
            here = column < len(words)
            label = words[column] if here else "[PAD]"
            c.box(90 + column * 72, 88 + row * 60, 68, 34, label, kind="data" if here else "empty", style="code",
                  size=13, shade=row if here else None)  # fmt: skip
    c.arrow((318, 180), (396, 180))
    c.text(357, 166, "flatten", 12, QUIET, "code")
    y = 80
    for row in order:
        for number, word in enumerate(batch[row]):
            c.box(410, y, 84, 32, word, style="code", size=13, shade=row)
            if number == 0:
                c.text(504, y + 16, w(f"row {row}"), 13, QUIET, "left")
            y += 36
    c.arrow((556, 180), (598, 180))
    y = 88
    for length in sorted({len(words) for words in batch}):
        rows = [row for row in order if len(batch[row]) == length]
        c.text(610, y + 8, f"({len(rows)}, {length}, D)", 13, QUIET, "left")
        for line, row in enumerate(rows):
            for column, word in enumerate(batch[row]):
                c.box(610 + column * 72, y + 24 + line * 40, 68, 34, word, style="code", size=13, shade=row)
        y += 110
    cells = len(batch) * seq_len
    c.text(90, 290, f"{cells} {w('cells')}{w(', ')}{cells - real} {w('of them padding')}", 13, style="left")
    c.text(452, 350, f"{real} {w('rows, no padding')}", 13)
    c.text(20, 360, "packing.py", 12, QUIET, "left code")
    return c


def parts_of_bert_base() -> Counter[str]:
    """How many parameters each part of BERT-base has, a shared one counted once."""
    with skeleton():
        model = BertForPreTraining(BertConfig())
    places = {
        ".word_embeddings.": "word table",
        ".position_embeddings.": "position table",
        ".token_type_embeddings.": "segment table",
        ".LayerNorm.": "all LayerNorms",
        ".attention.": "attention",
        ".layer.": "feed-forward",
        ".pooler.": "pooler",
        "cls.predictions.": "rest of the MLM head",
        "cls.seq_relationship.": "NSP head",
    }
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        counts[next(part for place, part in places.items() if place in name)] += parameter.numel()
    return counts


def parameters(w: Words) -> Canvas:
    config, counts = BertConfig(), parts_of_bert_base()
    total = counts.total()
    c = Canvas(860, 90 + 38 * len(counts), w("Where the parameters of BERT-base are"))
    sizes = {"V": config.vocab_size, "L": config.num_hidden_layers, "D": config.hidden_size}
    sizes["F"] = config.intermediate_size
    c.text(20, 28, f"BERT-base: {total:,} {w('parameters')}", 15, style="left bold")
    c.text(20, 52, ", ".join(f"{letter} = {size:,}" for letter, size in sizes.items()), 13, QUIET, "left")
    for number, (part, count) in enumerate(counts.most_common()):
        y = 74 + 38 * number
        in_layers, is_table = part in ("attention", "feed-forward"), part.endswith(" table")
        layers = f"{w(', ')}{config.num_hidden_layers} {w('layers')}" if in_layers else ""
        c.text(238, y + 14, w(part) + layers, 13, style="right", limit=225)
        width = max(2.0, 400 * count / max(counts.values()))
        c.bar(248, y, width, 28, kind="part" if in_layers else "data" if is_table else "choice")
        share = f"{count / total:.1%}" if count > total / 1000 else "< 0.1%"
        note = f"{w(', ')}{w('shared with the MLM head')}" if part == "word table" else ""
        c.text(258 + width, y + 14, f"{share}: {count:,}{note}", 13, style="left")
    return c
