"""Sentences of a text with one word hidden, and what a model puts there."""

import random

from minibert.inference.fill_mask import FillMaskPipeline
from minibert.model.tasks import BertForPreTraining
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer


def hide_words(
    corpus: PackedCorpus, tokenizer: BertTokenizer, max_length: int, seed: int, count: int = 5
) -> list[tuple[str, str]]:
    """At most `count` sentences of the corpus with one word replaced by [MASK], and the word."""
    rng = random.Random(seed)
    numbers = corpus.sentences
    lengths = corpus.sentence_starts[numbers + 1] - corpus.sentence_starts[numbers]
    candidates = numbers[(lengths >= 6) & (lengths <= min(20, max_length - 2))].tolist()
    sentences = []
    for number in rng.sample(candidates, min(count, len(candidates))):
        ids = corpus.ids[corpus.sentence_starts[number] : corpus.sentence_starts[number + 1]].tolist()
        tokens = [*tokenizer.convert_ids_to_tokens(ids), ""]
        words = [i for i in range(len(ids)) if tokens[i].isalpha() and not tokens[i + 1].startswith("##")]
        if words:
            hidden = rng.choice(words)
            ids[hidden] = tokenizer.mask_token_id
            sentences.append((tokenizer.decode(ids), tokens[hidden]))
    return sentences


def guesses(model: BertForPreTraining, tokenizer: BertTokenizer, sentence: str) -> str:
    """The four likeliest words for the [MASK] in a sentence, with their probabilities."""
    candidates = FillMaskPipeline(model, tokenizer)(sentence, top_k=4)
    return ", ".join(f"{c['token_str']} {c['score']:.0%}" for c in candidates)
