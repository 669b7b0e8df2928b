"""`scripts/evaluate.py`: scores of a checkpoint, the same at every run, or one line that says what was wrong."""

import json
import math
import random
import re

import numpy as np
import pytest
import script_runs
import torch
import transformers

import minibert
from minibert.inference.pseudo_likelihood import pseudo_log_likelihoods
from minibert.pretraining.evaluation import spread_sentences
from minibert.text import source
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer

WORDS = "the a cat dog bird cow sees likes eats fish corn grass every day .".split()  # noqa: SIM905 (reads as text)


def documents(count=30):
    rng = random.Random(1)

    def sentence():
        return f"the {rng.choice(WORDS[2:6])} {rng.choice(WORDS[6:9])} {rng.choice(WORDS[9:12])} every day ."

    return [[sentence() for _ in range(8)] for _ in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint that was never trained, but knows the words."""
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    BertTokenizer({token: i for i, token in enumerate(tokens)}).save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = minibert.BertConfig(**sizes, vocab_size=len(tokens), max_position_embeddings=64, initializer_range=0.2)
    minibert.BertForPreTraining(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "farm.txt"
    path.write_text("\n\n".join("\n".join(document) for document in documents()))
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Three paradigms in two files; the pairs of one are ties, because they differ in unknown words alone."""
    path = tmp_path_factory.mktemp("pairs")
    rng = random.Random(2)
    sentences = [s for document in documents() for s in document]
    known = [{"sentence_good": rng.choice(sentences), "sentence_bad": rng.choice(sentences)} for _ in range(20)]
    ties = [{"sentence_good": "the tiger .", "sentence_bad": "the lion .", "UID": "ties"}] * 4
    (path / "known.jsonl").write_text("\n".join(map(json.dumps, known)))
    (path / "more.jsonl").write_text("\n".join(map(json.dumps, [*ties, *({**pair, "UID": "more"} for pair in known)])))
    return path


def evaluate(capsys, *arguments):
    return script_runs.call(capsys, "evaluate", *arguments)


def test_what_a_user_sees(folder, corpus, pairs):
    """A real run, against numbers that are computed here."""
    ending = script_runs.start("evaluate", "--model", folder, "--corpus", corpus, "--blimp", pairs / "more.jsonl")
    assert ending.code == 0, ending.err
    assert [line.split()[0] for line in ending.out.splitlines()] == [
        *("corpus", "tokens", "pairs", "seen", "MLM", "NSP", "perplexity"),
        *("paradigm", "ties", "more", "mean"),
    ]
    assert f"{corpus}: 30 documents, 240 sentences, 1,680 words" in ending.out
    assert re.search(r"MLM +loss \d+\.\d{3}, accuracy \d+\.\d%: 15% of \d+ pairs of up to 64 tokens", ending.out)
    assert re.search(r"NSP +accuracy \d+\.\d%", ending.out)

    model, tokenizer = minibert.BertForMaskedLM.from_pretrained(folder), BertTokenizer.from_pretrained(folder)
    sentences = tokenizer([s for document in documents() for s in document])["input_ids"]
    expected = math.exp(-np.mean(pseudo_log_likelihoods(model, tokenizer, sentences)) / 7)  # tokens in each
    assert f"perplexity  {expected:,.1f}: 1,680 tokens of 240 sentences" in ending.out
    records = [json.loads(line) for line in (pairs / "known.jsonl").read_text().splitlines()]
    good, bad = (
        pseudo_log_likelihoods(model, tokenizer, tokenizer([r[name] for r in records])["input_ids"])
        for name in ("sentence_good", "sentence_bad")
    )
    share = np.mean([(g > b) + 0.5 * (g == b) for g, b in zip(good, bad, strict=True)])
    assert re.search(r"ties +4 +50\.0%", ending.out)
    assert re.search(rf"more +20 +{share:.1%}", ending.out)
    assert re.search(rf"mean of 2 paradigms +24 +{(0.5 + share) / 2:.1%}", ending.out)


def test_minimal_pairs_alone(capsys, folder, pairs):
    arguments = ("--blimp", pairs / "known.jsonl", pairs / "more.jsonl", "--blimp-pairs", 3)
    ending = evaluate(capsys, "--model", folder, *arguments)
    assert ending.code == 0, ending.err
    table = [line.split() for line in ending.out.splitlines()]
    assert " ".join(table.pop(0)).startswith(
        "warning 6% of the text is unknown to the vocabulary"
    )  # a tiger and a lion
    assert [row[:-1] for row in table] == [
        ["paradigm", "pairs"],
        ["known", "3"],
        ["ties", "3"],
        ["more", "3"],
        ["mean", "of", "3", "paradigms", "9"],
    ]
    assert table[1][-1] == table[3][-1]
    foreign = pairs.with_name("foreign.jsonl")
    foreign.write_text(json.dumps({"sentence_good": "東 京", "sentence_bad": "大 阪"}))
    warned = evaluate(capsys, "--model", folder, "--blimp", foreign).out
    assert "warning     100% of the text is unknown to the vocabulary" in warned
    assert "mean of 1 paradigm " in evaluate(capsys, "--model", folder, "--blimp", pairs / "known.jsonl").out


def test_without_a_corpus_it_scores_what_pretraining_has_held_out(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "python_documentation", lambda: iter(documents(60)))
    arguments = ("--vocab-size", 100, "--minutes", 0.003, "--output-dir", tmp_path / "run")
    trained = script_runs.call(capsys, "pretrain", *arguments)
    ending = evaluate(capsys, "--model", tmp_path / "run")
    (after,) = re.findall(r"after .*loss (\d\.\d\d), MLM accuracy (.*%), NSP accuracy (.*%)", trained.out)
    (mlm,) = re.findall(r"MLM +loss (\d\.\d{3}), accuracy (.*?%)", ending.out)
    (nsp,) = re.findall(r"NSP +accuracy (.*%)", ending.out)
    assert (mlm[1], nsp) == after[1:] and abs(float(mlm[0]) - float(after[0])) < 0.0051  # rounded to 0.01 there


def test_a_model_without_the_nsp_head(capsys, folder, corpus, tmp_path):
    whole = evaluate(capsys, "--model", folder, "--corpus", corpus)
    transformers.BertForMaskedLM.from_pretrained(folder).save_pretrained(tmp_path)
    BertTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    part = evaluate(capsys, "--model", tmp_path, "--corpus", corpus)
    assert part.code == 0 and re.search("NSP +the checkpoint has no such head", part.out)
    assert "newly" not in part.err  # what is missing plays no role
    for topic in ("MLM", "perplexity"):
        assert re.search(f"{topic} .*", part.out)[0] == re.search(f"{topic} .*", whole.out)[0]


def test_bad_models(capsys, folder, corpus, tmp_path):
    minibert.BertModel.from_pretrained(folder).save_pretrained(tmp_path)
    tokenizer = BertTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(tmp_path)
    error = evaluate(capsys, "--model", tmp_path, "--corpus", corpus).only_error
    assert str(tmp_path) in error and "only masked language models" in error and "cls.predictions" in error

    minibert.BertForPreTraining.from_pretrained(folder).save_pretrained(tmp_path)
    BertTokenizer({**tokenizer.get_vocab(), "tiger": len(tokenizer)}).save_pretrained(tmp_path)
    assert "21 word pieces, the model 20" in evaluate(capsys, "--model", tmp_path, "--corpus", corpus).only_error
    assert "nowhere" in evaluate(capsys, "--model", tmp_path / "nowhere").only_error


def test_a_vocabulary_that_was_cut_short(folder, corpus, tmp_path, capsys, caplog):
    minibert.BertForPreTraining.from_pretrained(folder).save_pretrained(tmp_path)
    vocabulary = BertTokenizer.from_pretrained(folder).get_vocab()
    (tmp_path / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get)[:-4]))
    assert evaluate(capsys, "--model", tmp_path, "--corpus", corpus).code == 0
    assert "the tokenizer has 16 word pieces, the model 20; is its vocabulary whole?" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--corpus", "nowhere.txt"), "nowhere.txt: no such file"),
        (("--blimp", "nowhere.jsonl"), "nowhere.jsonl"),
        (("--blimp", "farm.txt"), "farm.txt, line 1: not JSON"),
        (
            ("--blimp", "long.jsonl"),
            "--blimp: long: a sentence has 82 tokens, but the model reads at most 64",
        ),
        (("--blimp", "long.jsonl", "--blimp-pairs", "0"), "error: --blimp-pairs must be at least 1, got 0"),
        (("--corpus", "farm.txt", "--blimp-pairs", "3"), "error: --blimp-pairs limits what --blimp reads"),
        (("--corpus", "foreign.txt"), "knows no word"),
    ],
)
def test_bad_arguments(capsys, folder, corpus, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "farm.txt").write_bytes(corpus.read_bytes())
    (tmp_path / "foreign.txt").write_text("東 京\n大 阪")
    pair = {"sentence_good": "the cat " * 40, "sentence_bad": "the dog"}
    (tmp_path / "long.jsonl").write_text(json.dumps(pair))
    ending = evaluate(capsys, "--model", folder, *arguments)
    assert ending.code == 2 and message in ending.err.splitlines()[-1], ending


def test_sentences_come_from_all_over_the_corpus(folder):
    tokenizer = BertTokenizer.from_pretrained(folder)
    texts = [[f"{a} {b} {c} day" for c in WORDS[9:12]] for a in WORDS[:5] for b in WORDS[6:9]]
    corpus = PackedCorpus.from_documents(texts, tokenizer)
    flat = tokenizer([s for document in texts for s in document])["input_ids"]
    assert spread_sentences(corpus, tokenizer, 1000, 64) == flat
    some = spread_sentences(corpus, tokenizer, 5, 64)
    assert [flat.index(sentence) for sentence in some] == [0, 11, 22, 33, 44]
    assert spread_sentences(corpus, tokenizer, 1, 5) == [[*flat[0][:4], tokenizer.sep_token_id]]
    _, held_out = corpus.split(every=5)
    assert spread_sentences(held_out, tokenizer, 3, 64) == [flat[12], flat[28], flat[44]]


def test_several_processes_print_what_one_does(folder, corpus, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    goods = [f"the {a} sees the {b} ." for a in WORDS[2:5] for b in WORDS[2:5]]
    pairs.write_text("".join(json.dumps({"sentence_good": g, "sentence_bad": g[::-1]}) + "\n" for g in goods))
    arguments = ("--model", folder, "--corpus", corpus, "--blimp", pairs)
    alone, together = (script_runs.start("evaluate", *arguments, processes=count) for count in (1, 2))
    assert together.code == 0, together.err
    assert together.out == alone.out and "perplexity" in alone.out


@pytest.mark.parametrize("source", ["corpus", "blimp"])
def test_a_page_is_written(capsys, folder, corpus, pairs, tmp_path, source):
    given = ("--corpus", corpus) if source == "corpus" else ("--blimp", pairs / "known.jsonl")
    ending = evaluate(capsys, "--model", folder, *given, "--report", tmp_path / "page.md")
    assert ending.code == 0 and f"written     {tmp_path / 'page.md'}\n" in ending.out, ending.err
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert (f"| text | {corpus}: " in page) == (source == "corpus")
    assert ("| MLM | loss " in page) == (source == "corpus") and ("| minimal pairs: known | " in page) == (
        source == "blimp"
    )
    refused = evaluate(capsys, "--model", folder, *given, "--report", tmp_path / "page.pdf")
    assert "--report must end in .html or .md" in refused.only_error
