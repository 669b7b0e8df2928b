"""Learn a WordPiece vocabulary from texts, the same one in every run."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice, repeat

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, WhitespaceSplit
from tokenizers.trainers import WordPieceTrainer

from minibert.text.wordpiece import MAX_WORD_LENGTH, SPECIAL_TOKENS

# Of a script with more characters than this, the rarest are left to [UNK].
MAX_ALPHABET = 1000

# Distinct strings counted before they are normalized: bounds the memory on a large corpus.
MAX_COUNTED = 500_000

# Pieces are merged in so many distinct words, the most frequent ones: the trainer takes about a kilobyte for each, and
# what a large corpus has more is so rare that it hardly changes what is merged.
MAX_TRAINED = 400_000


def train_vocab(
    texts: Iterable[str | Counter[str]], vocab_size: int, *, lowercase: bool = True, min_frequency: int = 2
) -> dict[str, int]:
    """Learn at most `vocab_size` tokens: the special ones, single characters, then pairs merged by frequency.

    The same texts, in any order, give the same vocabulary. The library's trainer alone does not: it breaks
    ties between equally frequent pairs by token id, and numbers the inner characters (`##a`) in the order
    of a randomly seeded hash map. So the characters are counted here and handed over in a fixed order.
    texts: themselves, or counts of the strings between their spaces.
    Raises `ValueError` when there is no word in `texts`, no room for its characters, or room for 2^31 tokens.
    """
    if vocab_size >= 2**31:
        raise ValueError(f"vocab_size must be below 2^31, got {vocab_size}")
    counts = _count_words(texts, lowercase)
    if not counts:
        raise ValueError(
            f"texts: expected at least one word of at most {MAX_WORD_LENGTH} characters to learn a vocabulary from,"
            " found none. If there are no blanks between the words, as in Thai, put some there, with a word segmenter"
        )
    alphabet, inner = _alphabet(counts)
    reserved = [*SPECIAL_TOKENS.values(), *alphabet, *(f"##{character}" for character in inner)]
    if len(reserved) > vocab_size:
        raise ValueError(
            f"vocab_size {vocab_size:,} is too small: the special tokens and the characters of these texts take"
            f" {len(reserved):,}; pass more than that"
        )
    backend = Tokenizer(WordPiece(unk_token=SPECIAL_TOKENS["unk_token"]))
    backend.pre_tokenizer = WhitespaceSplit()
    trainer = WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=reserved,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    backend.train_from_iterator(_repeated(counts), trainer)
    return backend.get_vocab(with_added_tokens=False)


def count_strings(documents: Iterable[list[str]]) -> Iterator[Counter[str]]:
    """How often each string between spaces occurs in some documents: what `train_vocab` takes instead of them."""
    return _count_strings(chain.from_iterable(documents))


def _count_words(texts: Iterable[str | Counter[str]], lowercase: bool) -> Counter[str]:
    """How often each normalized word occurs. Distinct strings are normalized once, not once per occurrence."""
    if isinstance(texts, str):
        raise ValueError("texts: expected an iterator of texts, found one str; pass [text]")
    normalizer, pre_tokenizer = BertNormalizer(lowercase=lowercase), BertPreTokenizer()
    words: Counter[str] = Counter()
    for strings in _count_strings(texts):
        for string, count in strings.items():
            for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(string)):
                if len(word) <= MAX_WORD_LENGTH:
                    words[word] += count
    return words


def _count_strings(texts: Iterable[str | Counter[str]]) -> Iterator[Counter[str]]:
    """Count what stands between spaces, and hand the counts on whenever they grow large."""
    strings: Counter[str] = Counter()
    for text in texts:
        strings.update(text.split() if isinstance(text, str) else text)
        if len(strings) > MAX_COUNTED:
            yield strings
            strings = Counter()
    yield strings


def _alphabet(counts: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """The most frequent characters, sorted; and those of them that also occur inside a word."""
    frequency: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            frequency[character] += count
    ranked = sorted(frequency, key=lambda character: (-frequency[character], character))
    kept = set(ranked[:MAX_ALPHABET])
    inner = {character for word in counts for character in word[1:]}
    return sorted(kept), sorted(kept & inner)


def _repeated(counts: Mapping[str, int]) -> Iterator[str]:
    """Lines in which each frequent word occurs as often as it was counted: the trainer takes texts, not counts."""
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:MAX_TRAINED]
    words = chain.from_iterable(repeat(word, counts[word]) for word in sorted(frequent))
    while line := list(islice(words, 1000)):
        yield " ".join(line)
