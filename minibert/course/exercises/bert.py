"""Exercises of notebook 4."""

from functools import cache

import torch

from minibert.course.exercise import Case, Exercise, Mistake
from minibert.model.tasks import BertForPreTraining
from minibert.text.tokenizer import BertTokenizer


def complete(bert, tokenizer, text):
    inputs = tokenizer(text, return_tensors="pt")
    ids = inputs["input_ids"].clone()
    hidden = ids == tokenizer.mask_token_id
    scores, _ = bert(ids, inputs["token_type_ids"], inputs["attention_mask"].bool())
    ids[hidden] = scores[hidden].argmax(dim=-1)
    return tokenizer.decode(ids[0].tolist(), skip_special_tokens=True)


def make_batch(lists, pad_id):
    longest = max(map(len, lists))
    token_ids = torch.tensor([ids + [pad_id] * (longest - len(ids)) for ids in lists])
    return token_ids, torch.tensor([[place < len(ids) for place in range(longest)] for ids in lists])


@cache
def _tiny():
    """The shipped model, called as the notebook's: (token ids, segment ids, mask) -> scores of both heads."""
    model = BertForPreTraining.from_pretrained("minibert-tiny").requires_grad_(False)

    def bert(token_ids, segment_ids, mask):
        outputs = model(token_ids, attention_mask=mask.long(), token_type_ids=segment_ids)
        return outputs.prediction_logits, outputs.seq_relationship_logits

    return bert, BertTokenizer.from_pretrained("minibert-tiny")


def _texts() -> list[Case]:
    bert, tokenizer = _tiny()
    texts = {"at the end": "The file is opened for [MASK].", "in the middle": "The [MASK] is opened for reading."}
    return [Case(name, {"bert": bert, "tokenizer": tokenizer, "text": text}) for name, text in texts.items()]


def _with_marks(bert, tokenizer, text):
    ids = tokenizer(complete(bert, tokenizer, text))["input_ids"]
    return tokenizer.decode(ids)


def _all_replaced(bert, tokenizer, text):
    inputs = tokenizer(text, return_tensors="pt")
    scores, _ = bert(inputs["input_ids"], inputs["token_type_ids"], inputs["attention_mask"].bool())
    return tokenizer.decode(scores[0].argmax(dim=-1).tolist(), skip_special_tokens=True)


def _only_the_word(bert, tokenizer, text):
    words, done = tokenizer.tokenize(text), tokenizer.tokenize(complete(bert, tokenizer, text))
    return done[words.index("[MASK]")]


def _lists() -> list[Case]:
    return [
        Case("three texts", {"lists": [[2, 248, 3], [2, 3], [2, 0, 248, 3]], "pad_id": 0}),
        Case("another pad_id", {"lists": [[7], [7, 8, 9]], "pad_id": 5}),
    ]


def _left(lists, pad_id):
    token_ids, mask = make_batch([ids[::-1] for ids in lists], pad_id)
    return token_ids.flip(1), mask.flip(1)


def _mask_by_value(lists, pad_id):
    token_ids, _ = make_batch(lists, pad_id)
    return token_ids, token_ids != pad_id


def _inverted(lists, pad_id):
    token_ids, mask = make_batch(lists, pad_id)
    return token_ids, ~mask


EXERCISES = (
    Exercise(
        name="mlm_head_parameters",
        notebook="4",
        difficulty=1,
        minutes=4,
        task="How many parameters does an MLM head of BERT-base have ($D = 768$, $V = 30{,}522$), without the "
        "word table that it shares?",
        hint=r"A linear map $D \to D$ with a bias, a LayerNorm, and one number for each token of the vocabulary.",
        solution="768 * 768 + 768 + 2 * 768 + 30_522",
        mistakes=(
            Mistake("the word table is shared, and not counted here", answer=24_063_546),
            Mistake("each token of the vocabulary has a bias", answer=592_128),
            Mistake("the LayerNorm is missing", answer=621_114),
        ),
    ),
    Exercise(
        name="complete",
        notebook="4",
        difficulty=3,
        minutes=12,
        task="Return a text, in lower case, with its `[MASK]` replaced by the best token. `bert` is a model "
        "like yours: a function of token ids, segment ids `(B, S)` and a mask `(B, S)`, true at tokens, "
        "that returns the scores of the MLM head `(B, S, V)` and those of the NSP head.",
        hint='`tokenizer(text, return_tensors="pt")` has all three inputs. Replace the token id that equals '
        "`tokenizer.mask_token_id`, then `tokenizer.decode(ids, skip_special_tokens=True)`.",
        solution=complete,
        cases=_texts,
        mistakes=(
            Mistake("[CLS] and [SEP] are not part of the text", _with_marks),
            Mistake("every token was replaced by a guess, not [MASK] only", _all_replaced),
            Mistake("that is the word alone; return the whole text", _only_the_word),
        ),
    ),
    Exercise(
        name="make_batch",
        notebook="4",
        difficulty=2,
        minutes=8,
        task="Make a batch: from lists of token ids of different lengths to `token_ids` `(B, S)`, filled up "
        "with `pad_id` on the right, and the mask `(B, S)`, true at real tokens. Return both.",
        hint="A list of numbers times a count is a longer list: `[pad_id] * 3`. A token may have the number "
        "`pad_id`, too; so make the mask from the lengths.",
        solution=make_batch,
        cases=_lists,
        parts=("token_ids", "mask"),
        mistakes=(
            Mistake("the padding stands on the left", _left),
            Mistake("a real token may have the number pad_id; make the mask from the lengths", _mask_by_value),
            Mistake("the mask is the wrong way round", _inverted),
        ),
        finished=("torch.nn.utils.rnn",),
    ),
)
