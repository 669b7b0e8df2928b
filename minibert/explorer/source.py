"""For each station of the page the lines that compute it, read from the files that are installed, and a chapter."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert.explorer import readings, recording
from minibert.model.attention import MultiHeadSelfAttention, scaled_dot_product_attention
from minibert.model.bert import Pooler
from minibert.model.embeddings import Embeddings
from minibert.model.encoder import EncoderLayer, FeedForward
from minibert.model.heads import MLMHead, NSPHead
from minibert.model.tasks import BertForSequenceClassification, BertForTokenClassification
from minibert.text import wordpiece

PACKAGE = Path(__file__).parent.parent
COURSE = PACKAGE.parent / "notebooks"  # there in a clone of the repository, not in an installed wheel


@dataclass(frozen=True)
class Station:
    """Where a station of the page is computed, and where the course explains it."""

    functions: tuple[Callable[..., Any], ...]
    marks: tuple[str, ...]  # parts of the lines that matter most
    chapter: str  # a file of the course; its heading is one of the words of the page


STATIONS = {
    "pieces": Station(
        (wordpiece.build_backend, wordpiece.post_processor),
        ("WordPiece(", "BertPreTokenizer(", "pair="),
        "1_embeddings.py",
    ),
    "embeddings": Station((Embeddings.forward,), ("x = word_vectors", "self.norm(x)"), "1_embeddings.py"),
    "attention": Station(
        (scaled_dot_product_attention, MultiHeadSelfAttention.forward),
        ("scores = query", "weights = scores", "return weights @ value", "query, key, value =", "self.mix("),
        "2_attention.py",
    ),
    "switches": Station((recording._without_heads,), ("context[:, heads] = 0.0",), "9_attention_maps.py"),
    "stream": Station(
        (EncoderLayer.forward, FeedForward.forward, readings.logit_lens),
        ("self.attention_norm(", "self.feed_forward_norm(", "self.down(", "model.mlm_head(", "moved = "),
        "4_bert.py",
    ),
    "answer": Station((MLMHead.forward,), ("self.decoder(",), "7_pretraining.py"),
    "pair": Station(
        (Pooler.forward, NSPHead.forward),
        ("self.activation(", "self.linear("),
        "7_pretraining.py",
    ),
    "classes": Station(
        (BertForSequenceClassification.forward, BertForTokenClassification.forward),
        ("logits = self.classifier(",),
        "8_fine_tuning.py",
    ),
}


def station_sources() -> dict[str, dict[str, Any]]:
    """{station: its `snippets`, each with `file`, `name`, `first_line` and `lines`; its `chapter`}.

    A line is [text, whether it matters most]. `has_course`: whether the chapter's file is there to be read.
    """
    return {
        name: {
            "snippets": [_snippet(function, station.marks) for function in station.functions],
            "chapter": station.chapter,
            "has_course": (COURSE / station.chapter).is_file(),
        }
        for name, station in STATIONS.items()
    }


def _snippet(function: Callable[..., Any], marks: tuple[str, ...]) -> dict[str, Any]:
    lines, first = inspect.getsourcelines(function)
    indent = len(lines[0]) - len(lines[0].lstrip())
    texts = [line.rstrip("\n")[indent:] for line in lines]
    path = Path(inspect.getfile(inspect.unwrap(function))).relative_to(PACKAGE.parent)
    return {
        "file": path.as_posix(),
        "name": function.__qualname__,
        "first_line": first,
        "lines": [[text, any(mark in text for mark in marks)] for text in texts],
    }
