"""The diagrams of the model: what it consists of, and what happens to a token in it."""

from collections.abc import Callable

from canvas import ORANGE, QUIET, Canvas

Words = Callable[[str], str]

PAIR = ["[CLS]", "the", "file", "is", "opened", "[SEP]", "then", "it", "is", "read", "[SEP]"]


def architecture(w: Words) -> Canvas:
    c = Canvas(760, 690, w("BERT, from token ids to predictions"))
    tokens = ["[CLS]", "the", "file", "is", "opened", "for", "[MASK]", ".", "[SEP]"]
    for number, token in enumerate(tokens):
        c.box(44 + number * 75, 24, 70, 30, token, style="code", size=12, kind="choice" if "MASK" in token else "data")
    c.arrow((380, 56), (380, 92))
    c.text(392, 73, f"{w('token ids, one for each token')} (B, S)", 13, QUIET, "left")
    c.box(180, 94, 400, 48, w("embeddings"), w("the sum of three look-ups, then LayerNorm"), kind="part")
    c.text(592, 118, "embeddings.py", 12, QUIET, "left code")
    c.line((380, 144), (380, 205))
    c.text(392, 160, "(T, D)", 13, QUIET, "left")
    encoder_layer(c, w)
    c.line((380, 462), (380, 510))
    c.text(392, 482, "(T, D)", 13, QUIET, "left")
    c.arrow((380, 510), (200, 510), (200, 540))
    c.arrow((380, 510), (560, 510), (560, 540))
    c.text(188, 524, w("every token"), 13, QUIET, "right")
    c.text(572, 524, w("only [CLS]"), 13, QUIET, "left")
    c.box(110, 542, 180, 36, w("MLM head"), kind="part")
    c.box(450, 542, 100, 36, w("pooler"), kind="part")
    c.arrow((552, 560), (590, 560))
    c.box(592, 542, 100, 36, w("NSP head"), kind="part")
    c.arrow((200, 580), (200, 622))
    c.arrow((642, 580), (642, 622))
    c.text(212, 600, "(N, V)", 13, QUIET, "left")
    c.text(630, 600, "(B, D) → (B, 2)", 13, QUIET, "right")
    c.box(90, 624, 220, 34, w("which token was hidden?"), kind="choice")
    c.box(480, 624, 220, 34, w("does B follow A?"), kind="choice")
    c.text(102, 560, "heads.py", 12, QUIET, "right code")
    c.text(442, 560, "bert.py", 12, QUIET, "right code")
    return c


def encoder_layer(c: Canvas, w: Words) -> None:
    """The frame in the middle of the architecture."""
    c.frame(150, 178, 460, 284)
    c.text(162, 195, w("one encoder layer"), 13, QUIET, "left bold")
    c.text(622, 195, f"× {w('L layers')}", 14, style="left bold")
    c.text(622, 218, "encoder.py", 12, QUIET, "left code")
    for top, name, sub in (
        (222, "self-attention", "H heads: the only place where tokens meet"),
        (350, "feed-forward", "through F dimensions and back"),
    ):
        c.line((380, top - 17), (380, top - 10))
        c.arrow((380, top - 10), (380, top))
        c.line((380, top - 12), (172, top - 12), (172, top + 78), color=ORANGE, thick=2.4)
        c.arrow((172, top + 78), (369, top + 78), color=ORANGE, thick=2.4)
        c.box(205, top + 1, 350, 46, w(name), w(sub), kind="part")
        c.line((380, top + 48), (380, top + 67))
        c.plus(380, top + 78)
        c.text(398, top + 78, w("add, LayerNorm"), 13, QUIET, "left")
        c.line((380, top + 89), (380, top + 112))
    c.text(622, 246, "attention.py", 12, QUIET, "left code")


def embedding_sum(w: Words) -> Canvas:
    c = Canvas(900, 372, w("A token is the sum of three look-ups"))
    left, step, width = 150, 66, 60
    split = PAIR.index("[SEP]") + 1
    rows = (
        ("word", "(V, D) table", 96, 1),
        ("segment", "(2, D) table", 166, 0),
        ("position", "(512, D) table", 236, 2),
    )
    c.text(16, 43, w("tokens"), 14, style="left bold")
    for name, table, top, _ in rows:
        c.text(16, top + 10, w(name), 14, style="left bold")
        c.text(16, top + 28, w(table), 12, QUIET, "left")
    for number, token in enumerate(PAIR):
        x = left + number * step
        c.box(x, 28, width, 30, token, kind="plain", style="code", size=12)
        c.arrow((x + width / 2, 60), (x + width / 2, 94))
        short = {"[CLS]": "CLS", "[SEP]": "SEP"}.get(token, token)
        names = (f"W_{short}", f"G_{'A' if number < split else 'B'}", f"P_{number}")
        for (_, _, top, shade), name in zip(rows, names, strict=True):
            if top > 96:
                c.plus(x + width / 2, top - 17, radius=8)
            shade = 3 if name == "G_B" else shade
            c.box(x, top, width, 36, name, shade=shade, size=12, style="math")
        c.arrow((x + width / 2, 274), (x + width / 2, 300))
    right = left + len(PAIR) * step - 6
    c.box(left, 302, right - left, 34, f"{w('LayerNorm, dropout')}  →  x (T, D): "
          f"{w('one row of D numbers for each token')}", kind="part")  # fmt: skip
    c.text(left + split * step / 2 - 3, 14, w("sentence A"), 12, QUIET)
    c.text(left + (split + len(PAIR)) * step / 2 - 3, 14, w("sentence B"), 12, QUIET)
    c.text(16, 319, "embeddings.py", 12, QUIET, "left code")
    return c


def attention_heads(w: Words) -> Canvas:
    """Four heads of two dimensions: the columns of one head have one tint, from the projections to the merge."""
    c = Canvas(980, 420, w("Attention: queries, keys and values, cut into heads and merged again"))
    stripes = [0, 0, 1, 1, 2, 2, 3, 3]
    c.matrix(20, 176, 5, 8, 11)
    c.text(64, 162, "x", 15, style="bold")
    c.text(64, 246, "(T, D)", 13, QUIET)
    c.text(190, 34, w("three projections"), 14, style="bold")
    c.text(418, 34, w("split into heads"), 14, style="bold")
    c.text(646, 34, w("each head for itself"), 14, style="bold")
    c.text(866, 34, f"{w('merge heads')}{w(', ')}{w('mix')}", 14, style="bold")
    for middle, symbol, name in ((100, "Q", "queries"), (204, "K", "keys"), (308, "V", "values")):
        if middle != 204:
            c.line((114, 204), (128, 204), (128, middle))
        c.arrow((114 if middle == 204 else 128, middle), (150, middle))
        c.box(152, middle - 17, 76, 34, f"W^{symbol}", kind="part", style="math")
        c.arrow((230, middle), (262, middle))
        c.matrix(264, middle - 27, 5, 8, 11, stripes)
        c.text(308, middle - 40, w(name), 13)
        c.text(308, middle + 41, "(T, D)", 13, QUIET)
        c.arrow((356, middle), (386, middle))
        for head in range(4):
            c.matrix(390 + head * 30, middle - 27, 5, 2, 11, [head, head])
        c.text(446, middle + 41, "(T, H, K)", 13, QUIET)
    one_head(c, w)
    c.arrow((740, 252), (804, 252))
    c.matrix(808, 224, 5, 8, 11, stripes)
    c.text(852, 212, "(T, D)", 13, QUIET)
    c.arrow((852, 281), (852, 314))
    c.box(814, 316, 76, 34, "W^O", kind="part", style="math")
    c.arrow((892, 333), (914, 333))
    c.text(940, 333, "(T, D)", 13, QUIET)
    c.text(20, 396, "attention.py", 12, QUIET, "left code")
    return c


def one_head(c: Canvas, w: Words) -> None:
    """From queries and keys to shares, and from these and the values to the context."""
    c.frame(540, 58, 218, 300)
    c.box(560, 76, 178, 40, "q · k / √K", "(B, H, S, S)", kind="plain")
    c.arrow((649, 118), (649, 140))
    c.box(560, 142, 178, 40, w("softmax of each row"), "(B, H, S, S)", kind="choice")
    c.arrow((649, 184), (649, 230))
    c.box(560, 232, 178, 40, w("shares × values"), "(T, H, K)", kind="plain")
    c.line((508, 100), (526, 100), (526, 88))
    c.arrow((526, 88), (558, 88))
    c.line((508, 204), (530, 204), (530, 104))
    c.arrow((530, 104), (558, 104))
    c.line((508, 308), (530, 308), (530, 252))
    c.arrow((530, 252), (558, 252))
    for head in range(4):
        c.matrix(592 + head * 30, 286, 5, 2, 11, [head, head])


def residual_stream(w: Words) -> Canvas:
    c = Canvas(1040, 300, w("The residual stream: a token's vector, to which each part adds"))
    stream = 210
    c.box(20, stream - 24, 104, 48, w("embeddings"), "(T, D)", kind="part")
    c.arrow((126, stream), (898, stream), color=ORANGE, thick=5)
    c.box(900, stream - 24, 120, 48, w("MLM head"), w("pooler"), kind="part")
    c.text(960, stream + 42, w("heads read the end"), 13, QUIET)
    for left, name in ((150, "layer 0"), (526, "layer L − 1")):
        c.text(left + 175, 26, w(name), 14, style="bold")
        c.frame(left, 44, 350, 206)
        c.line((left - 2, stream), (left + 352, stream), color=ORANGE, thick=5)
        for x, part in ((left + 10, "self-attention"), (left + 180, "feed-forward")):
            c.box(x + 4, 104, 108, 36, w(part), kind="part", size=13)
            c.arrow((x + 20, stream - 2), (x + 20, 142))
            c.text(x + 26, 172, w("read"), 12, QUIET, "left")
            c.line((x + 114, 122), (x + 124, 122))
            c.arrow((x + 124, 122), (x + 124, stream - 10))
            c.text(x + 118, 172, w("add"), 12, QUIET, "right")
            c.plus(x + 124, stream, radius=10)
            c.box(x + 138, stream - 13, 20, 26, "N", kind="plain", size=12)
        c.arrow((left + 68, 76), (left + 68, 102), dashed=True)
        c.text(left + 68, 62, w("from the other tokens"), 12, QUIET)
    c.text(513, stream - 18, "…", 18)
    c.text(150, 276, f"N = {w('LayerNorm')}", 13, QUIET, "left")
    c.text(876, 276, "x = N(x + attention(x)),  x = N(x + feed_forward(x))", 13, QUIET, "right code")
    return c
