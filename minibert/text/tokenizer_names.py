"""Names that other people's code reaches for: thin, and nothing here is needed to understand a tokenizer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from minibert.checkpoint.files import write_text
from minibert.text.batch_encoding import BatchEncoding
from minibert.text.tokenizer_layout import Backends
from minibert.text.wordpiece import vocab_text

VOCABULARY = ("vocab_file", "tokenizer_file", "tokenizer_object")

# Arguments of the reference that have nothing to do here: the values that ask for what is done anyway, and why the
# others are refused.
ELSEWHERE = {
    "use_fast": ((True, False), "there is one implementation"),
    "trust_remote_code": ((False,), "the code of a checkpoint is never run"),
    "do_basic_tokenize": (
        (True,),
        "texts are always split at spaces and punctuation; is_split_into_words=True takes words",
    ),
    "never_split": ((), "add_tokens has tokens found whole"),
    "split_special_tokens": ((False,), "special tokens are always found whole"),
    "text_target": ((), "BERT has no decoder; tokenize target texts in a call of their own"),
    "text_pair_target": ((), "BERT has no decoder; tokenize target texts in a call of their own"),
    "max_target_length": ((), "BERT has no decoder; tokenize target texts in a call of their own"),
    "tokenizer_kwargs": ((), "pass the arguments themselves"),
    "pad_to_max_length": ((False,), "it is called padding='max_length' now"),
    "truncation_strategy": ((), "it is called truncation now"),
    "is_pretokenized": ((False,), "it is called is_split_into_words now"),
    "return_input_lengths": ((False,), "it is called return_length now"),
    "replace_extra_special_tokens": ((False,), "new special tokens join those there are"),
    "replace_additional_special_tokens": ((False,), "new special tokens join those there are"),
    "legacy_format": ((False,), "all files are written, for readers of any age"),
    "filename_prefix": ((), "a folder holds one tokenizer"),
    "push_to_hub": ((False,), "save_pretrained, then huggingface_hub.upload_folder"),
    "use_source_tokenizer": ((False,), "there is no other tokenizer than this one"),
}

# Methods of the reference that are not here, and what to do instead.
ABSENT = {
    "prepare_for_model": "tokenize texts, or call build_inputs_with_special_tokens",
    "truncate_sequences": "tokenize texts with truncation=True",
    "apply_chat_template": "BERT does not chat",
    "as_target_tokenizer": "BERT has no decoder",
    "train_new_from_iterator": "use BertTokenizer.train(texts, vocab_size)",
    "push_to_hub": "save_pretrained, then huggingface_hub.upload_folder",
}

# What `clean_up_tokenization` closes up, in this order.
SPACED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


def refuse(owner: str, arguments: Mapping[str, Any]) -> None:
    """Raise `TypeError` naming the first of the `arguments` that `owner` cannot obey, and why."""
    for name, value in arguments.items():
        if name not in ELSEWHERE:
            raise TypeError(f"{owner} has no argument {name!r}")
        harmless, reason = ELSEWHERE[name]
        if value is not None and value not in harmless:
            raise TypeError(f"{owner} does not take {name}={value!r}: {reason}")


def given_vocabulary(vocab: Any, names: dict[str, Any]) -> Any:
    """What was passed as `vocab`, or under one of its older names, which are taken out of `names`."""
    given = {"vocab": vocab} | {name: names.pop(name) for name in VOCABULARY if name in names}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) > 1:
        raise TypeError(f"BertTokenizer takes one vocabulary, found {' and '.join(given)}; pass one of them")
    return next(iter(given.values()), None)


class NoToken:
    """A token that other models have: None, and it stays so."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, tokenizer: Any, owner: type | None = None) -> None:
        return None

    def __set__(self, tokenizer: Any, token: Any) -> None:
        if token is not None:
            raise AttributeError(f"{self.name}: BERT has none; sequences begin with cls_token and end with sep_token")


class FamiliarNames:
    """The part of `BertTokenizer` that answers to the rest of the reference's names."""

    _backends: Backends
    __call__: Callable[..., BatchEncoding]
    is_fast = True
    pad_token_type_id = 0
    bos_token, bos_token_id, eos_token, eos_token_id = NoToken(), NoToken(), NoToken(), NoToken()

    def __getattr__(self, name: str) -> Any:
        reason = f"; {ABSENT[name]}" if name in ABSENT else ""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{reason}")

    def encode_plus(self, text: Any, text_pair: Any = None, **options: Any) -> BatchEncoding:
        """The older name of a call with one text."""
        return self(text, text_pair, **options)

    def batch_encode_plus(self, batch_text_or_text_pairs: Sequence, **options: Any) -> BatchEncoding:
        """The older name of a call with a batch of texts, or of pairs."""
        return self(list(batch_text_or_text_pairs), **options)

    def batch_decode(self, sequences: Iterable, *args: Any, **options: Any) -> list[str]:
        """The older name of `decode` with a batch; its arguments."""
        return [self.decode(ids, *args, **options) for ids in sequences]

    def clean_up_tokenization(self, text: str) -> str:
        """Undo the spaces that decoding leaves before punctuation, and in "don ' t"."""
        for spaced in SPACED:
            text = text.replace(spaced, spaced.strip())
        return text

    # --- tokens

    @property
    def vocab(self) -> dict[str, int]:
        """The id of every token, added ones included."""
        return self.get_vocab()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """The tokens that are found whole in a text, by id."""
        return dict(sorted(self._backends.original.get_added_tokens_decoder().items()))

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """The ids of the tokens that are found whole in a text."""
        return {token.content: token_id for token_id, token in self.added_tokens_decoder.items()}

    def get_added_vocab(self) -> dict[str, int]:
        """`added_tokens_encoder`."""
        return self.added_tokens_encoder

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """The text of tokens: "##" is where words go on."""
        decoder = self._backends.original.decoder
        return " ".join(tokens) if decoder is None else decoder.decode(list(tokens))

    # --- what stands around a text

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens stand around a text, or a pair."""
        return self._backends.original.num_special_tokens_to_add(pair)

    @property
    def max_len_single_sentence(self) -> int:
        """How many tokens of a text `model_max_length` leaves room for."""
        return self.model_max_length - self.num_special_tokens_to_add()

    @property
    def max_len_sentences_pair(self) -> int:
        """How many tokens of both texts of a pair `model_max_length` leaves room for."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=True)

    def build_inputs_with_special_tokens(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """[CLS] A [SEP], or [CLS] A [SEP] B [SEP], from ids."""
        first = [self.cls_token_id, *token_ids_0, self.sep_token_id]
        return first if token_ids_1 is None else [*first, *token_ids_1, self.sep_token_id]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """The segments of what `build_inputs_with_special_tokens` gives: 0 for [CLS] A [SEP], 1 for B [SEP]."""
        return [0] * (len(token_ids_0) + 2) + [1] * (0 if token_ids_1 is None else len(token_ids_1) + 1)

    def get_special_tokens_mask(
        self,
        token_ids_0: Sequence[int],
        token_ids_1: Sequence[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 at a special token, 0 elsewhere, for ids that have their special tokens already, or will get them."""
        if not already_has_special_tokens:
            second = [] if token_ids_1 is None else [*[0] * len(token_ids_1), 1]
            return [1, *[0] * len(token_ids_0), 1, *second]
        if token_ids_1 is not None:
            raise ValueError("token_ids_1: with already_has_special_tokens=True, all ids are in token_ids_0")
        special = set(self.all_special_ids)
        return [int(int(token_id) in special) for token_id in token_ids_0]

    # --- files and settings

    def save_vocabulary(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str]:
        """Write `vocab.txt` alone, which is not the whole tokenizer: see `save_pretrained`. Returns its path."""
        refuse("save_vocabulary", {"filename_prefix": filename_prefix})
        path = Path(save_directory) / "vocab.txt"
        write_text(path, vocab_text(self.get_vocab()))
        return (str(path),)

    def __repr__(self) -> str:
        settings = {name: getattr(self, name) for name in ("name_or_path", "model_max_length", "do_lower_case")}
        shown = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        return f"{type(self).__name__}({shown}, {len(self):,} tokens, added: {list(self.added_tokens_encoder)})"
