"""Token classification: the reference's tags, groups and offsets; and texts that are longer than the model."""

import pytest
import torch
from pipeline_runs import TEXTS, checkpoint, our_tokenizer, reference_pipeline

from minibert import pipeline
from minibert.inference import token_classification
from minibert.inference.token_classification import STRATEGIES, Token

LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER", "MISC")


def folder():
    """Five classes whose names are all that matters here."""
    return checkpoint("BertForTokenClassification", num_labels=len(LABELS))


def tagger(tokenizer=None, **options):
    ours = pipeline("token-classification", folder(), "fp32", "cpu", tokenizer=tokenizer, **options)
    ours.model.config.id2label = dict(enumerate(LABELS))
    return ours


def assert_same(found, expected):
    assert [len(tags) for tags in found] == [len(tags) for tags in expected]
    for tag, expected_tag in zip(sum(found, []), sum(expected, []), strict=True):
        assert list(tag) == list(expected_tag)
        assert tag == expected_tag | {"score": pytest.approx(float(expected_tag["score"]), rel=1e-4)}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("options", [{}, {"ignore_labels": []}, {"ignore_labels": ["O", "LOC", "B-PER"]}])
def test_tags_are_the_references(strategy, options):
    ours, theirs = tagger(), reference_pipeline("token-classification", folder())
    theirs.model.config.id2label = dict(enumerate(LABELS))
    options = options | {"aggregation_strategy": strategy}
    found = ours(TEXTS, **options)
    assert_same(found, theirs(TEXTS, **options))
    assert len(sum(found, [])) > 5
    assert_same([ours(TEXTS[0], **options)], [theirs(TEXTS[0], **options)])


def tagged(*rows):
    """Tokens (piece, word, label, probability) next to each other."""
    tokens, at = [], 0
    for piece, word, label, probability in rows:
        length = len(piece.removeprefix("##"))
        probabilities = torch.full((len(LABELS),), (1 - probability) / (len(LABELS) - 1))
        probabilities[LABELS.index(label)] = probability
        tokens.append(Token(piece, word, at, at + length, probabilities))
        at += length + 1
    return tokens


@pytest.mark.parametrize(
    ("strategy", "groups"),
    [
        ("simple", [("LOC", "a"), ("PER", "##b"), ("LOC", "c"), ("LOC", "d e"), ("MISC", "f g")]),
        ("first", [("LOC", "ab"), ("LOC", "c"), ("LOC", "d e"), ("MISC", "f g")]),
        ("max", [("PER", "ab"), ("LOC", "c"), ("LOC", "d e"), ("MISC", "f g")]),
        ("average", [("PER", "ab"), ("LOC", "c"), ("LOC", "d e"), ("MISC", "f g")]),
    ],
)
def test_groups_are_made_of_words(monkeypatch, strategy, groups):
    tokens = tagged(
        ("a", 0, "B-LOC", 0.5),
        ("##b", 0, "I-PER", 0.9),
        ("c", 1, "I-LOC", 0.6),
        ("d", 2, "B-LOC", 0.7),
        ("e", 3, "I-LOC", 0.8),
        ("f", 4, "MISC", 0.9),
        ("g", 5, "MISC", 0.7),
        ("h", 6, "O", 0.9),
    )
    ours = tagger()
    monkeypatch.setattr(ours, "_tag", lambda texts, overlap: [tokens])
    found = ours("", aggregation_strategy=strategy)
    if strategy == "first":  # the B- of the first word, and an I- after it: one entity
        groups = [("LOC", "ab c"), *groups[2:]]
    assert [(tag["entity_group"], tag["word"]) for tag in found] == groups
    assert found[-1]["score"] == pytest.approx(0.8)
    assert (found[-1]["start"], found[-1]["end"]) == (tokens[-3].start, tokens[-2].end)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("limit", "stride"), [(24, None), (24, 0), (24, 5), (24, 21), (3, None), (3, 0), (5, 2)])
def test_a_long_text_is_read_in_windows(side, limit, stride):
    ours = tagger(our_tokenizer(truncation_side=side, padding_side=side, model_max_length=limit))
    text = " ".join("abcdefgh"[i % 8] * (1 + i % 3) for i in range(60))
    found = ours(text, ignore_labels=[], stride=stride)
    expected = ours.tokenizer(text, return_offsets_mapping=True)
    assert len(expected["input_ids"]) > 5 * ours.max_length
    assert [tag["word"] for tag in found] == expected.tokens()[1:-1]
    assert [(tag["start"], tag["end"]) for tag in found] == expected["offset_mapping"][1:-1]
    assert [tag["index"] for tag in found] == list(range(1, len(found) + 1))


@pytest.mark.parametrize("stride", [-1, 22])
def test_windows_must_show_something_new(stride):
    with pytest.raises(ValueError, match=f"stride must be from 0 to 21 in windows of 24 tokens, got {stride}"):
        tagger()("a", stride=stride)


def test_words_in_a_text_that_are_tokens():
    """Tokens that were added, and special ones, are words like others; here as in the reference."""
    tokenizer = our_tokenizer(model_max_length=24)
    tokenizer.backend_tokenizer.add_tokens(["[unused1]"])
    ours, theirs = tagger(tokenizer), reference_pipeline("token-classification", folder())
    theirs.tokenizer.add_tokens(["[unused1]"])
    theirs.model.config.id2label = dict(enumerate(LABELS))
    for text in ("a [unused1]b [MASK] [SEP]c", "[CLS] a"):
        for strategy in STRATEGIES:
            options = {"ignore_labels": [], "aggregation_strategy": strategy}
            assert_same([ours(text, **options)], [theirs(text, **options)])


@pytest.mark.parametrize("side", ["left", "right"])
def test_each_token_is_tagged_where_more_is_around_it(side):
    ours = tagger(our_tokenizer(truncation_side=side))
    text = " ".join("abcdefghijklmnopqrstuvwxyz"[i % 26] for i in range(40))  # 22 fit into a window, 6 are shared
    found = [(tag["entity"], tag["score"]) for tag in ours(text, ignore_labels=[])]
    windows = [text[start : start + 43] for start in (0, 32, 64)]
    first, second, third = ([(tag["entity"], tag["score"]) for tag in ours(w, ignore_labels=[])] for w in windows)
    expected = first[:19] + second[3:19] + third[3:]
    assert [label for label, _ in found] == [label for label, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], rel=1e-4)
    assert len(second) == 22 and min(token_classification.OVERLAP, ours.max_length // 4) == 6


def test_groups_by_the_older_name():
    ours = tagger()
    assert ours(TEXTS[0], grouped_entities=True) == ours(TEXTS[0], aggregation_strategy="SIMPLE")
    assert ours(TEXTS[0], grouped_entities=False) == ours(TEXTS[0])
    assert tagger(None, grouped_entities=True)(TEXTS[0]) == tagger(None, aggregation_strategy="simple")(TEXTS[0])
    with pytest.raises(ValueError, match="grouped_entities is the older name of aggregation_strategy"):
        ours("a", grouped_entities=True, aggregation_strategy="first")
    with pytest.raises(TypeError, match='ignore_subwords: aggregation_strategy="first" gives whole words'):
        ours("a", ignore_subwords=True)


def test_unknown_strategy():
    with pytest.raises(ValueError, match="aggregation_strategy must be one of none, simple, .*, got 'last'"):
        tagger()("a", aggregation_strategy="last")
