"""`BertTokenizer`: texts to token ids and back, under the names that `transformers` made familiar."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tokenizers import AddedToken, Encoding, Tokenizer

from minibert.checkpoint.files import CheckpointError, write_text
from minibert.checkpoint.opened import VOCABULARY_FILES, Checkpoint, open_from
from minibert.text.batch_encoding import BatchEncoding, pad_columns
from minibert.text.tokenizer_checks import checked
from minibert.text.tokenizer_config import CONFIG_FILES, Token, as_tokens, config_of, read_settings, with_arguments
from minibert.text.tokenizer_inputs import as_batch, as_columns, as_ids, as_list, find_half_character
from minibert.text.tokenizer_layout import NO_LIMIT, Backends, Layout
from minibert.text.tokenizer_names import FamiliarNames, given_vocabulary, refuse
from minibert.text.tokenizer_special import SpecialTokens
from minibert.text.vocabulary import train_vocab
from minibert.text.wordpiece import SPECIAL_TOKENS, open_backend, vocab_text


class BertTokenizer(SpecialTokens, FamiliarNames):
    """WordPiece tokenizer. Several threads may use one at the same time, as long as none changes it.

    vocab: a `vocab.txt`, a `tokenizer.json`, a dict from token to id, or a `tokenizers.Tokenizer`; its older names are
        `vocab_file`, `tokenizer_file` and `tokenizer_object`.
    do_lower_case, strip_accents, tokenize_chinese_chars: None means as the `tokenizer.json` says; for a bare
        vocabulary: lowercase, strip accents if lowercasing, split Chinese characters.
    added_tokens, additional_special_tokens: more tokens that are found whole in a text, and those of them that are no
        text; new ones get the next free ids. `extra_special_tokens` is the newer name.
    added_tokens_decoder: the same with their ids, as the files of a checkpoint have them.
    model_max_length: how many tokens `truncation=True` leaves when no `max_length` is given; None for no limit.
    model_input_names: which columns a call returns when it does not say.
    names: the other names above, and other tokens for `pad_token`, `unk_token`, `cls_token`, `sep_token`, `mask_token`.
    Raises `CheckpointError` for a broken file, or a vocabulary without the special tokens.
    """

    def __init__(
        self,
        vocab: str | Path | Mapping[str, int] | Tokenizer | None = None,
        do_lower_case: bool | None = None,
        *,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool | None = None,
        added_tokens: Token | Sequence[Token] = (),
        additional_special_tokens: Token | Sequence[Token] | None = None,
        added_tokens_decoder: Mapping[int, AddedToken] | None = None,
        model_max_length: int | None = None,
        padding_side: str = "right",
        truncation_side: str = "right",
        model_input_names: Sequence[str] = ("input_ids", "token_type_ids", "attention_mask"),
        clean_up_tokenization_spaces: bool = False,
        name_or_path: str = "",
        **names: Any,
    ) -> None:
        vocab = given_vocabulary(vocab, names)
        special = SPECIAL_TOKENS | {name: names.pop(name) for name in SPECIAL_TOKENS.keys() & names.keys()}
        extra = [*as_tokens(additional_special_tokens), *as_tokens(names.pop("extra_special_tokens", None))]
        refuse("BertTokenizer", names)
        normalization = {"strip_accents": strip_accents, "handle_chinese_chars": tokenize_chinese_chars}
        self._backends = Backends(open_backend(vocab, lowercase=do_lower_case, **normalization))
        source = str(vocab) if isinstance(vocab, str | Path) else "vocab"
        self._set_tokens(added_tokens_decoder or {}, special, extra, source)
        self.add_tokens(added_tokens)
        self.model_max_length = NO_LIMIT if model_max_length is None else model_max_length
        self.padding_side = checked("padding_side", padding_side)
        self.truncation_side = checked("truncation_side", truncation_side)
        self.model_input_names = list(model_input_names)
        self.clean_up_tokenization_spaces = clean_up_tokenization_spaces
        self.name_or_path = name_or_path

    # --- where a tokenizer comes from, and goes to

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path | Checkpoint, **options: Any) -> Self:
        """Read the tokenizer of a checkpoint: `tokenizer.json` if there is one, else `vocab.txt`.

        `tokenizer_config.json`, where there is one, has the last word on its settings; without it, a bare
        `vocab.txt` is taken for an uncased one, and a `tokenizer.json` is taken as it is. (The reference
        lowercases then, even with a `tokenizer.json` that says otherwise.)
        options: where it is, as for `Checkpoint.open`; all others are arguments of the constructor that win over the
            files; tokens join those of the files.
        Raises `CheckpointError` when the checkpoint or both files cannot be found.
        """
        checkpoint = open_from(pretrained_model_name_or_path, options)
        vocab = checkpoint.first(VOCABULARY_FILES)
        if vocab is None:
            raise CheckpointError(
                f"{checkpoint.name}: found neither tokenizer.json nor vocab.txt; put one of them there"
                " (vocab.txt: one token per line, in the order of the ids)"
            )
        settings = {"name_or_path": checkpoint.name} | read_settings(checkpoint.paths(CONFIG_FILES))
        return cls(vocab, **with_arguments(settings, options))

    @classmethod
    def train(cls, texts: Iterable[Any], vocab_size: int, lowercase: bool = True, min_frequency: int = 2) -> Self:
        """Learn a WordPiece vocabulary of at most `vocab_size` tokens; [PAD] [UNK] [CLS] [SEP] [MASK] come first.

        texts: read once, from start to end; their order does not matter, and every run gives the same ids. What stands
            between their spaces may be counted already, in `Counter`s.
        min_frequency: how often a pair of pieces must occur to become one piece.
        Raises `ValueError` when there is no word in `texts`, or `vocab_size` has no room for its characters.
        """
        vocab = train_vocab(texts, vocab_size, lowercase=lowercase, min_frequency=min_frequency)
        return cls(vocab, do_lower_case=lowercase)

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> tuple[str, ...]:
        """Write `tokenizer.json`, `vocab.txt` (for older readers) and `tokenizer_config.json`; returns their paths."""
        refuse("save_pretrained", options)
        folder, backend = Path(save_directory), self._backends.original
        files = {
            "tokenizer_config.json": config_of(self, backend.normalizer),
            # Padding and truncation are those of a call, not of a tokenizer.
            "tokenizer.json": json.loads(backend.to_str()) | {"padding": None, "truncation": None},
        }
        write_text(folder / "vocab.txt", vocab_text(self.get_vocab()))
        for name, content in files.items():
            write_text(folder / name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        return tuple(str(folder / name) for name in ("vocab.txt", *files))

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
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        **unknown: Any,
    ) -> BatchEncoding:
        """Tokenize a text, a pair of texts, or a batch of either.

        text, text_pair: a str or, for a batch, a list; a batch of pairs may also be one list of (text, text).
            With `is_split_into_words`, a list of words stands for each str.
        padding: True or "longest" to the longest row, "max_length" to `max_length`; and on, with `pad_to_multiple_of`.
        truncation: True or "longest_first" cuts the longer text of a pair, "only_first" and "only_second"
            that one. Given a `max_length` and neither padding nor truncation, it is True.
        stride: how many tokens an overflowing row repeats of the row before it.
        padding_side: "left" or "right"; None for that of the tokenizer.
        return_token_type_ids, return_attention_mask: None means if they are among `model_input_names`.
        verbose: warn of arguments without effect.
        Returns rows of ids (B, S) and what else was asked for; a single text gives (S,) lists, (1, S) tensors.
        Raises `ValueError` for what is not a text, an unknown option, or an impossible truncation.
        """
        refuse("a call of BertTokenizer", unknown)
        inputs, is_batch = as_batch(text, text_pair, is_split_into_words)
        layout = Layout.of(self, padding, truncation, max_length, stride, pad_to_multiple_of, padding_side, verbose)
        how = {"add_special_tokens": add_special_tokens, "is_pretokenized": is_split_into_words}
        returned = {
            "input_ids": True,
            "token_type_ids": self._is_returned("token_type_ids", return_token_type_ids),
            "attention_mask": self._is_returned("attention_mask", return_attention_mask),
            "special_tokens_mask": return_special_tokens_mask,
            "offset_mapping": return_offsets_mapping,
            "length": return_length,
            "overflow_to_sample_mapping": return_overflowing_tokens,
        }
        return BatchEncoding.from_encodings(self._encode(inputs, layout, how), returned, not is_batch, return_tensors)

    def _is_returned(self, column: str, is_asked: bool | None) -> bool:
        return column in self.model_input_names if is_asked is None else is_asked

    def _encode(self, inputs: list, layout: Layout, how: dict[str, bool]) -> list[Encoding]:
        try:
            return self._backends.copy_for(layout).encode_batch(inputs, **how)
        except BaseException as error:
            # The library raises plain Exceptions, and panics that are not even Exceptions.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            settings = f"truncation={layout.truncation!r}, max_length={layout.max_length}, stride={layout.stride}"
            reason = find_half_character(inputs) or f"with {settings}: {error}"
            raise ValueError(f"cannot tokenize {reason}") from error

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """The `input_ids` alone; `options` as in a call."""
        return self(text, text_pair, **options)["input_ids"]

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The pieces of a text, as strings."""
        return self(text, pair, add_special_tokens=add_special_tokens, **options).tokens()

    def pad(
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Make one batch of texts that were tokenized apart, as a collator must; or fill up a single one.

        encoded_inputs: one dict per text, one dict of lists, or the dict of one text. Columns that are not the
            tokenizer's stay as they are; `attention_mask` is made where it is missing.
        return_tensors: None gives the kind that `encoded_inputs` holds.
        """
        columns, is_batch, kind = as_columns(encoded_inputs)
        if self._is_returned("attention_mask", return_attention_mask):
            columns.setdefault("attention_mask", [[1] * len(ids) for ids in columns["input_ids"]])
        layout = Layout.of(self, padding, False, max_length, 0, pad_to_multiple_of, padding_side, verbose)
        if layout.padding:
            width = layout.width(max(map(len, columns["input_ids"])))
            columns = pad_columns(columns, width, self.pad_token_id, layout.padding_side)
        columns = columns if is_batch else {key: rows[0] for key, rows in columns.items()}
        return BatchEncoding(columns, None, return_tensors or kind)

    # --- ids to texts

    def decode(
        self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> Any:
        """Join ids (one, a list, or a one-dimensional tensor) to a text; what the vocabulary lacks is left out.

        A batch of ids, in lists or a tensor (B, S), gives the list of their texts.
        clean_up_tokenization_spaces: also undo the spaces of "don ' t"; None means as the checkpoint says.
        """
        ids = as_ids(token_ids)
        if ids and isinstance(ids[0], list | tuple):
            return [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces) for row in ids]
        try:
            text = self._backends.original.decode(ids, skip_special_tokens=skip_special_tokens)
        except (TypeError, OverflowError) as error:
            raise ValueError(
                f"token_ids: expected ids from 0, found {ids!r:.80}; for labels, take out those that are ignored (-100)"
            ) from error
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        return self.clean_up_tokenization(text) if clean_up_tokenization_spaces else text

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of an id, or the list of them for many; None for an id outside the vocabulary."""
        ids = as_list(ids)
        if isinstance(ids, int):
            return self._backends.original.id_to_token(ids) if ids >= 0 else None
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self.convert_ids_to_tokens(int(i)) for i in ids if int(i) not in skipped]

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> Any:
        """The id of a token, or the list of them for many; that of `unk_token` for one not in the vocabulary."""
        if not isinstance(tokens, str):
            return [self.convert_tokens_to_ids(token) for token in tokens]
        token_id = self._backends.original.token_to_id(tokens)
        return self.unk_token_id if token_id is None else token_id

    # --- the vocabulary

    def __len__(self) -> int:
        """How many tokens there are, added ones included."""
        return self._backends.original.get_vocab_size(with_added_tokens=True)

    @property
    def vocab_size(self) -> int:
        """How many tokens there are without the added ones."""
        return self._backends.original.get_vocab_size(with_added_tokens=False)

    def get_vocab(self) -> dict[str, int]:
        """The id of every token, added ones included."""
        return self._backends.original.get_vocab(with_added_tokens=True)

    @property
    def do_lower_case(self) -> bool | None:
        """Whether texts are lowercased; None when the normalizer of the `tokenizer.json` is not BERT's."""
        return getattr(self._backends.original.normalizer, "lowercase", None)

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """The `tokenizers.Tokenizer` underneath; what is changed in it holds from the next call on."""
        return self._backends.hand_out()


# The reference's name for its tokenizers of this kind.
BertTokenizerFast = AutoTokenizer = BertTokenizer
