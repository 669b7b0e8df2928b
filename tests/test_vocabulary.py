"""Training a vocabulary: what is learned, and that it is always the same."""

import os
import subprocess
import sys

import pytest
from reference_tokenizer import TEXTS
from tokenizers import Tokenizer, models
from tokenizers.trainers import WordPieceTrainer

from minibert.text import vocabulary
from minibert.text.tokenizer import BertTokenizer


def test_training_puts_the_special_tokens_first_and_obeys_its_arguments():
    tokenizer = BertTokenizer.train(iter(TEXTS), 150)
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert tokenizer.convert_ids_to_tokens(range(5)) == specials
    assert sorted(tokenizer.get_vocab().values()) == list(range(150))
    assert "the" in tokenizer.get_vocab() and "The" not in tokenizer.get_vocab()
    assert tokenizer.decode(tokenizer.encode(TEXTS[0]), True) == TEXTS[0].lower().replace("n't", "n ' t")
    cased = BertTokenizer.train(TEXTS, 400, lowercase=False)
    assert cased.do_lower_case is False and "The" in cased.get_vocab()
    rare = BertTokenizer.train(["zebra", "cat cat"], 100, min_frequency=2).get_vocab()
    assert "cat" in rare and "zebra" not in rare
    assert "zebra" in BertTokenizer.train(["zebra", "cat cat"], 100, min_frequency=1).get_vocab()


def test_training_learns_what_the_library_learns():
    counted = " ".join(TEXTS).lower().split()
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    ours = BertTokenizer.train(TEXTS, 400)
    backend.normalizer = ours.backend_tokenizer.normalizer
    backend.pre_tokenizer = ours.backend_tokenizer.pre_tokenizer
    backend.train_from_iterator(TEXTS, WordPieceTrainer(vocab_size=400, min_frequency=2, show_progress=False))
    learned = {token for token in backend.get_vocab() if token in counted}
    assert len(learned) > 20
    assert len(learned - ours.get_vocab().keys()) <= 0.1 * len(learned)


def test_training_is_the_same_in_every_process_and_every_order():
    # Many ties: the library's own trainer gives another vocabulary in nearly every process here.
    script = (
        "import hashlib, random, sys\n"
        "from minibert.text.tokenizer import BertTokenizer\n"
        "words = [f'{a}{b}{c}' for a in 'abcdefgh' for b in 'ijklmnop' for c in 'qrstuvwx']\n"
        "random.Random(int(sys.argv[1])).shuffle(words)\n"
        "vocab = BertTokenizer.train(words * 2, 200).get_vocab()\n"
        "print(hashlib.sha256(str(sorted(vocab.items())).encode()).hexdigest())\n"
    )
    digests = set()
    for seed in "12":
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", script, seed]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1


def test_training_folds_its_counts(monkeypatch):
    expected = BertTokenizer.train(TEXTS, 300).get_vocab()
    monkeypatch.setattr("minibert.text.vocabulary.MAX_COUNTED", 5)
    assert BertTokenizer.train(TEXTS, 300).get_vocab() == expected


def test_training_keeps_the_most_frequent_characters(monkeypatch):
    monkeypatch.setattr("minibert.text.vocabulary.MAX_ALPHABET", 3)
    vocab = BertTokenizer.train(["aaa bbb cc cc", "dd"], 20, min_frequency=9).get_vocab()
    assert {token for token in vocab if len(token.removeprefix("##")) == 1} == {
        "a", "b", "c", "##a", "##b", "##c",
    }  # fmt: skip


@pytest.mark.parametrize(
    "texts, size, message",
    [
        ([], 100, "at least one word"),
        (["", " \n"], 100, "at least one word"),
        ("one text", 100, r"pass \[text\]"),
        (["abc"], 9, "vocab_size 9 is too small.* take 10"),
        (["abc"], 2**31, r"vocab_size must be below 2\^31, got 2147483648"),
    ],
)
def test_training_refuses(texts, size, message):
    with pytest.raises(ValueError, match=message):
        BertTokenizer.train(texts, size)


def test_of_very_many_words_the_rarest_are_not_merged(monkeypatch):
    texts = ["zebra zebra", "yak yak yak", "cat cat cat cat", "ant ant ant"]
    assert {"zebra", "yak", "cat", "ant"} <= BertTokenizer.train(texts, 100).get_vocab().keys()
    monkeypatch.setattr(vocabulary, "MAX_TRAINED", 2)
    for order in (texts, texts[::-1]):
        learned = BertTokenizer.train(order, 100).get_vocab().keys()
        assert learned & {"zebra", "yak", "cat", "ant"} == {"cat", "ant"}  # "ant" is as frequent as "yak", and first
        assert {"z", "##k"} <= learned  # the characters of all words are there
