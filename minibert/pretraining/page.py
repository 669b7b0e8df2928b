"""One page about a pretrained model, as HTML or Markdown: curves, scores, filled masks, neighbours of words, heads."""

import base64
import html
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from minibert.checkpoint.files import write_text
from minibert.model.tasks import BertForPreTraining
from minibert.pretraining.evaluation import spread_sentences
from minibert.pretraining.filled import guesses, hide_words
from minibert.pretraining.words_and_heads import (
    LOOKS_AT,
    frequent_words,
    has_neighbours,
    nearest_words,
    neighbour_attention,
)
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer
from minibert.training.metrics_log import METRICS_FILE
from minibert.training.plots import plot_losses, read_losses

SUFFIXES = (".html", ".md")
WATCHED_SENTENCES = 100  # whose attention is averaged

_STYLE = """body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse } th, td { padding: .2em .8em .2em 0; text-align: left; vertical-align: top }
th { border-bottom: 1px solid #888 } tr + tr td { border-top: 1px solid #ddd } img { max-width: 100% }"""


class Section(NamedTuple):
    """A part of the page; what it has not, it leaves out."""

    title: str
    text: str = ""
    picture: bytes = b""  # a PNG
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def check_page(path: Path, name: str) -> None:
    """Raise `ValueError` or `OSError` if no page about the model called `name` can be written to `path`.

    Rather before scoring than after.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"--report must end in {' or '.join(SUFFIXES)}, got {path}")
    if path.is_dir():
        raise ValueError(f"--report {path}: is a folder; give the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise OSError(f"--report {path}: nothing can be written to {path.parent} ({error.strerror})") from error
    if metrics := _metrics_of(name):
        read_losses(metrics)


def write_page(
    path: Path,
    name: str,
    model: BertForPreTraining,
    tokenizer: BertTokenizer,
    corpus: PackedCorpus,
    scores: Sequence[tuple[str, str]],
    seed: int,
) -> None:
    """Write the page about the model called `name` to `path`, where `check_page` has found nothing wrong.

    Args:
        corpus: the text that examples and words are taken from.
        scores: what was measured, names and values.
        seed: of the choice of examples.

    Raises `OSError` naming `path` if it cannot be written after all.
    """
    sections = [
        _curves(name),
        Section("Scores", header=("what", "score"), rows=scores),
        _filled(model, tokenizer, corpus, seed),
        _neighbours(model, tokenizer, corpus),
        _heads(model, _sentences(model, tokenizer, corpus)),
    ]
    config = model.config
    title = (
        f"{name}: {config.num_hidden_layers} layers × {config.hidden_size},"
        f" {model.num_parameters() / 1e6:.1f} million parameters"
    )
    as_text = _as_html if path.suffix.lower() == ".html" else _as_markdown
    write_text(path, as_text(title, sections))


def _metrics_of(name: str) -> Path | None:
    """What its training has logged, if that lies beside the model."""
    metrics = Path(name) / METRICS_FILE
    return metrics if metrics.is_file() else None


def _curves(name: str) -> Section:
    metrics = _metrics_of(name)
    if metrics is None:
        return Section("Loss curves", f"There is no {METRICS_FILE} beside this checkpoint, so there are no curves.")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "loss.png"
        plot_losses(metrics, picture, "Losses while it was trained")
        return Section("Loss curves", picture=picture.read_bytes())


def _filled(model: BertForPreTraining, tokenizer: BertTokenizer, corpus: PackedCorpus, seed: int) -> Section:
    hidden = hide_words(corpus, tokenizer, model.config.max_position_embeddings, seed, count=10)
    rows = [(sentence, word, guesses(model, tokenizer, sentence)) for sentence, word in hidden]
    return Section("Filled masks", "Sentences of the text.", header=("sentence", "hidden", "guesses"), rows=rows)


def _neighbours(model: BertForPreTraining, tokenizer: BertTokenizer, corpus: PackedCorpus) -> Section:
    found = nearest_words(model, tokenizer, frequent_words(corpus, tokenizer))
    rows = [(word, ", ".join(nearest)) for word, nearest in found.items()]
    text = "Words of the text, and those whose embeddings are most like theirs (by the cosine)."
    return Section("Nearest neighbours", text, header=("word", "nearest first"), rows=rows)


def _sentences(model: BertForPreTraining, tokenizer: BertTokenizer, corpus: PackedCorpus) -> list[list[int]]:
    return spread_sentences(corpus, tokenizer, WATCHED_SENTENCES, model.config.max_position_embeddings)


def _heads(model: BertForPreTraining, sentences: list[list[int]]) -> Section:
    title = "Heads that look at neighbours"
    if not any(map(has_neighbours, sentences)):
        return Section(title, "No sentence of the text has two tokens, so none has a neighbour to look at.")
    attention = neighbour_attention(model, sentences)
    looks = (attention >= LOOKS_AT).any(-1)  # (L, H)
    text = (
        f"{int(looks.sum())} of {looks.numel()} heads ({looks.float().mean().item():.0%}) look at a neighbour: at least"
        f" {LOOKS_AT:.0%} of their attention goes one token to the left, or one to the right, on average."
    )
    return Section(title, text, _draw_heads(attention))


def _draw_heads(attention: Tensor) -> bytes:
    """A map of layers and heads for either side."""
    from matplotlib.figure import Figure  # takes a second to import, and few uses need it

    layers, heads, _ = attention.shape
    figure = Figure(figsize=(3.2 + 0.7 * heads, 1.5 + 0.4 * layers), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for side, (axes, title) in enumerate(zip(panels, ("one to the left", "one to the right"), strict=True)):
        image = axes.imshow(attention[:, :, side].numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set(title=title, xlabel="head", xticks=range(heads), yticks=range(layers))
    panels[0].set_ylabel("layer")
    figure.colorbar(image, ax=panels, label="share of the attention")
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()


# --- two ways to write the same page --------------------------------------------------------------------


def _as_html(title: str, sections: Sequence[Section]) -> str:
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for section in sections:
        parts.append(f"<h2>{html.escape(section.title)}</h2>")
        if section.text:
            parts.append(f"<p>{html.escape(section.text)}</p>")
        if section.picture:
            parts.append(f'<img alt="{html.escape(section.title)}" src="{_as_uri(section.picture)}">')
        if section.header:
            lines = [_html_row("th", section.header), *(_html_row("td", row) for row in section.rows)]
            parts.append("\n".join(["<table>", *lines, "</table>"]))
    head = f'<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n<style>\n{_STYLE}\n</style>'
    body = "\n".join(parts)
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _as_markdown(title: str, sections: Sequence[Section]) -> str:
    parts = [f"# {title}"]
    for section in sections:
        parts.append(f"## {section.title}")
        if section.text:
            parts.append(section.text)
        if section.picture:
            parts.append(f"![{section.title}]({_as_uri(section.picture)})")
        if section.header:
            lines = [section.header, ["---"] * len(section.header), *section.rows]
            parts.append("\n".join(f"| {' | '.join(map(_markdown_cell, line))} |" for line in lines))
    return "\n\n".join(parts) + "\n"


def _markdown_cell(text: str) -> str:
    # A bar would end the cell, and the others would be markup.
    return "".join(f"\\{character}" if character in "|*_<[`\\" else character for character in text)


def _as_uri(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"
