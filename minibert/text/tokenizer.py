"""`BertTokenizer`: texts to token ids and back, under the names that `transformers` made familiar."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tokenizers import AddedToken, Encoding

from minibert.checkpoint.files import CheckpointError, write_text
from minibert.checkpoint.opened import VOCABULARY_FILES, Checkpoint, open_from
from minibert.text.batch_encoding import BatchEncoding, pad_columns
from minibert.text.tokenizer_config import ATTRIBUTES, CONFIG_FILES, normalization_settings, read_settings
from minibert.text.tokenizer_inputs import NO_LIMIT, Layout, as_batch, as_columns
from minibert.text.vocabulary import train_vocab
from minibert.text.wordpiece import SPECIAL_TOKENS, open_backend, vocab_text

# What `clean_up_tokenization_spaces` closes up, in this order.
SPACED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


class BertTokenizer:
    """WordPiece tokenizer.

    vocab: a `vocab.txt`, a `tokenizer.json`, or a dict from token to id; `vocab_file` is its older name.
    do_lower_case, strip_accents, tokenize_chinese_chars: None means as the `tokenizer.json` says; for a bare
        vocabulary: lowercase, strip accents if lowercasing, split Chinese characters.
    added_tokens: more tokens that are found whole in a text; new ones get the next free ids.
    model_max_length: how many tokens `truncation=True` leaves when no `max_length` is given.
    special_tokens: other names for `pad_token`, `unk_token`, `cls_token`, `sep_token`, `mask_token`.
    Raises `CheckpointError` for a broken file, or a vocabulary without the special tokens.
    """

    pad_token: str
    unk_token: str
    cls_token: str
    sep_token: str
    mask_token: str
    pad_token_id: int
    unk_token_id: int
    cls_token_id: int
    sep_token_id: int
    mask_token_id: int

    def __init__(
        self,
        vocab: str | Path | Mapping[str, int] | None = None,
        do_lower_case: bool | None = None,
        *,
        vocab_file: str | Path | None = None,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool | None = None,
        added_tokens: Sequence[str | AddedToken] = (),
        model_max_length: int = NO_LIMIT,
        padding_side: str = "right",
        truncation_side: str = "right",
        clean_up_tokenization_spaces: bool = False,
        **special_tokens: str | AddedToken,
    ) -> None:
        if unknown := special_tokens.keys() - SPECIAL_TOKENS.keys():
            raise TypeError(f"BertTokenizer has no argument {sorted(unknown)}")
        tokens = SPECIAL_TOKENS | special_tokens
        names = {name: str(token) for name, token in tokens.items()}
        self.backend_tokenizer = open_backend(
            vocab if vocab_file is None else vocab_file,
            names,
            lowercase=do_lower_case,
            strip_accents=strip_accents,
            handle_chinese_chars=tokenize_chinese_chars,
        )
        # So that "[MASK]" in a text is the token, not the pieces of a word.
        self.backend_tokenizer.add_special_tokens(list(tokens.values()))
        self.backend_tokenizer.add_tokens(list(added_tokens))
        for name, token in names.items():
            setattr(self, name, token)
            setattr(self, f"{name}_id", self.backend_tokenizer.token_to_id(token))
        self.model_max_length = model_max_length
        self.padding_side = padding_side
        self.truncation_side = truncation_side
        self.clean_up_tokenization_spaces = clean_up_tokenization_spaces

    # --- where a tokenizer comes from, and goes to

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path | Checkpoint, **options: Any) -> Self:
        """Read the tokenizer of a checkpoint: `tokenizer.json` if there is one, else `vocab.txt`.

        `tokenizer_config.json`, where there is one, has the last word on its settings; without it, a bare
        `vocab.txt` is taken for an uncased one, and a `tokenizer.json` is taken as it is. (The reference
        lowercases then, even with a `tokenizer.json` that says otherwise.)
        options: where it is, as for `Checkpoint.open`; all others are arguments of the constructor that win over the
            files.
        Raises `CheckpointError` when the checkpoint or both files cannot be found.
        """
        checkpoint = open_from(pretrained_model_name_or_path, options)
        vocab = checkpoint.first(VOCABULARY_FILES)
        if vocab is None:
            raise CheckpointError(
                f"{checkpoint.name}: found neither tokenizer.json nor vocab.txt; put one of them there"
                " (vocab.txt: one token per line, in the order of the ids)"
            )
        return cls(vocab, **read_settings(checkpoint.paths(CONFIG_FILES)) | options)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, lowercase: bool = True, min_frequency: int = 2) -> Self:
        """Learn a WordPiece vocabulary of at most `vocab_size` tokens; [PAD] [UNK] [CLS] [SEP] [MASK] come first.

        texts: read once, from start to end; their order does not matter, and every run gives the same ids.
        min_frequency: how often a pair of pieces must occur to become one piece.
        Raises `ValueError` when there is no word in `texts`, or `vocab_size` has no room for its characters.
        """
        vocab = train_vocab(texts, vocab_size, lowercase=lowercase, min_frequency=min_frequency)
        return cls(vocab, do_lower_case=lowercase)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `tokenizer.json`, `vocab.txt` (for older readers) and `tokenizer_config.json`."""
        folder = Path(folder)
        config = {
            **normalization_settings(self.backend_tokenizer),
            **{name: getattr(self, name) for name in (*SPECIAL_TOKENS, *ATTRIBUTES)},
            "additional_special_tokens": self.all_special_tokens[len(SPECIAL_TOKENS) :],
        }
        # The padding and truncation of the last call are no part of the tokenizer.
        backend = json.loads(self.backend_tokenizer.to_str()) | {"padding": None, "truncation": None}
        write_text(folder / "vocab.txt", vocab_text(self.get_vocab()))
        for name, content in (("tokenizer_config.json", config), ("tokenizer.json", backend)):
            write_text(folder / name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    # --- texts to ids

    def __call__(
        self,
        text: Any,
        text_pair: Any = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        return_tensors: str | None = None,
        return_token_type_ids: bool = True,
        return_attention_mask: bool = True,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_overflowing_tokens: bool = False,
    ) -> BatchEncoding:
        """Tokenize a text, a pair of texts, or a batch of either.

        text, text_pair: a str or, for a batch, a list; a batch of pairs may also be one list of (text, text).
            With `is_split_into_words`, a list of words stands for each str.
        padding: True or "longest" to the longest row, "max_length" to `max_length`.
        truncation: True or "longest_first" cuts the longer text of a pair, "only_first" and "only_second"
            that one. Given a `max_length` and neither padding nor truncation, it is True.
        stride: how many tokens an overflowing row repeats of the row before it.
        Returns rows of ids (B, S) and what else was asked for; a single text gives (S,) lists, (1, S) tensors.
        Raises `ValueError` for what is not a text, an unknown option, or an impossible truncation.
        """
        inputs, is_batch = as_batch(text, text_pair, is_split_into_words)
        layout = Layout.of(padding, truncation, max_length, self.model_max_length)
        how = {"add_special_tokens": add_special_tokens, "is_pretokenized": is_split_into_words}
        encodings = self._encode(inputs, layout, stride, how)
        returned = {
            "input_ids": True,
            "token_type_ids": return_token_type_ids,
            "attention_mask": return_attention_mask,
            "special_tokens_mask": return_special_tokens_mask,
            "offset_mapping": return_offsets_mapping,
            "overflow_to_sample_mapping": return_overflowing_tokens,
        }
        return BatchEncoding.from_encodings(encodings, returned, not is_batch, return_tensors)

    def _encode(self, inputs: list, layout: Layout, stride: int, how: dict[str, bool]) -> list[Encoding]:
        """Run the backend with this padding and truncation, which are its state, not its arguments."""
        backend, limit = self.backend_tokenizer, layout.max_length
        cut = {"stride": stride, "strategy": layout.truncation, "direction": self.truncation_side}
        fill = {"pad_id": self.pad_token_id, "pad_token": self.pad_token, "direction": self.padding_side}
        try:
            # Set at every call and never reset, so that threads that call alike do not disturb each other.
            backend.enable_truncation(limit, **cut) if layout.truncation else backend.no_truncation()
            length = limit if layout.padding == "max_length" else None
            backend.enable_padding(length=length, **fill) if layout.padding else backend.no_padding()
            return backend.encode_batch(inputs, **how)
        except BaseException as error:
            # The library raises plain Exceptions, and panics that are not even Exceptions.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise ValueError(f"cannot tokenize with {layout} and stride={stride}: {error}") from error

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """The `input_ids` alone; `options` as in a call."""
        return self(text, text_pair, **options)["input_ids"]

    def tokenize(self, text: str, pair: str | None = None, add_special_tokens: bool = False) -> list[str]:
        """The pieces of a text, as strings."""
        return self(text, pair, add_special_tokens=add_special_tokens).tokens()

    def pad(
        self,
        features: Mapping[str, Sequence] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        return_tensors: str | None = None,
    ) -> BatchEncoding:
        """Make one batch of texts that were tokenized apart, as a collator must.

        features: one dict per text, or one dict of lists. Columns that are not the tokenizer's stay as they
            are; `attention_mask` is made where it is missing.
        """
        columns = as_columns(features)
        columns.setdefault("attention_mask", [[1] * len(ids) for ids in columns["input_ids"]])
        layout = Layout.of(padding, False, max_length, self.model_max_length)
        if layout.padding:
            longest = max(map(len, columns["input_ids"]))
            length = layout.max_length if layout.padding == "max_length" else longest
            columns = pad_columns(columns, length, self.pad_token_id, self.padding_side)
        return BatchEncoding(columns, None, return_tensors)

    # --- ids to texts

    def decode(
        self, ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> str:
        """Join ids (one, a list, or a one-dimensional tensor) to a text; what the vocabulary lacks is left out.

        clean_up_tokenization_spaces: also undo the spaces of "don ' t"; None means as the checkpoint says.
        """
        ids = ids.tolist() if hasattr(ids, "tolist") else ids
        ids = [ids] if isinstance(ids, int) else list(ids)
        text = self.backend_tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        if clean_up_tokenization_spaces:
            for spaced in SPACED:
                text = text.replace(spaced, spaced.strip())
        return text

    def batch_decode(self, sequences: Iterable, *args: Any, **options: Any) -> list[str]:
        """`decode` for each sequence, with its arguments."""
        return [self.decode(ids, *args, **options) for ids in sequences]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of an id, or the list of them for many; None for an id outside the vocabulary."""
        if isinstance(ids, int):
            return self.backend_tokenizer.id_to_token(ids)
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self.backend_tokenizer.id_to_token(int(i)) for i in ids if int(i) not in skipped]

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> Any:
        """The id of a token, or the list of them for many; that of `unk_token` for one not in the vocabulary."""
        if not isinstance(tokens, str):
            return [self.convert_tokens_to_ids(token) for token in tokens]
        token_id = self.backend_tokenizer.token_to_id(tokens)
        return self.unk_token_id if token_id is None else token_id

    # --- the vocabulary

    def __len__(self) -> int:
        """How many tokens there are, added ones included."""
        return self.backend_tokenizer.get_vocab_size(with_added_tokens=True)

    @property
    def vocab_size(self) -> int:
        """How many tokens there are without the added ones."""
        return self.backend_tokenizer.get_vocab_size(with_added_tokens=False)

    def get_vocab(self) -> dict[str, int]:
        """The id of every token, added ones included."""
        return self.backend_tokenizer.get_vocab(with_added_tokens=True)

    @property
    def do_lower_case(self) -> bool | None:
        """Whether texts are lowercased; None when the normalizer of the `tokenizer.json` is not BERT's."""
        return getattr(self.backend_tokenizer.normalizer, "lowercase", None)

    @property
    def all_special_tokens(self) -> list[str]:
        """The five named special tokens, then those among the added tokens."""
        named = [getattr(self, name) for name in SPECIAL_TOKENS]
        added = self.backend_tokenizer.get_added_tokens_decoder().values()
        return named + [token.content for token in added if token.special and token.content not in named]

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        return self.convert_tokens_to_ids(self.all_special_tokens)
