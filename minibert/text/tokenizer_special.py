"""The tokens that mean more than text: the five special ones, which have names, and those that are added."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tokenizers import AddedToken, Tokenizer

from minibert.checkpoint.files import CheckpointError
from minibert.text.tokenizer_config import Token, as_tokens
from minibert.text.tokenizer_layout import Backends
from minibert.text.tokenizer_names import refuse
from minibert.text.wordpiece import check_special_tokens, post_processor

logger = logging.getLogger(__name__)

# The older and the newer name of the special tokens that have no name of their own.
ADDITIONAL = ("additional_special_tokens", "extra_special_tokens")

# In the order of the reference's lists.
NAMES = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class SpecialToken:
    """`tokenizer.cls_token` and the like: a str. It can be set to any token of the vocabulary."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, tokenizer: Any, owner: type | None = None) -> Any:
        return self if tokenizer is None else tokenizer._special[self.name]

    def __set__(self, tokenizer: Any, token: Token) -> None:
        tokenizer._set_special_token(self.name, token)


class SpecialTokenId:
    """`tokenizer.cls_token_id` and the like: an int. Set it, and the token is that of the new id."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.removesuffix("_id")

    def __get__(self, tokenizer: Any, owner: type | None = None) -> Any:
        return self if tokenizer is None else tokenizer.convert_tokens_to_ids(getattr(tokenizer, self.name))

    def __set__(self, tokenizer: Any, token_id: int) -> None:
        token = tokenizer.convert_ids_to_tokens(token_id)
        if token is None:
            raise ValueError(f"{self.name}_id: expected an id below {len(tokenizer)}, found {token_id!r}")
        setattr(tokenizer, self.name, token)


class SpecialTokens:
    """The part of `BertTokenizer` that knows and changes which tokens are special, or found whole in a text."""

    _backends: Backends
    _special: dict[str, str]
    convert_tokens_to_ids: Callable[..., Any]

    pad_token, pad_token_id = SpecialToken(), SpecialTokenId()
    unk_token, unk_token_id = SpecialToken(), SpecialTokenId()
    cls_token, cls_token_id = SpecialToken(), SpecialTokenId()
    sep_token, sep_token_id = SpecialToken(), SpecialTokenId()
    mask_token, mask_token_id = SpecialToken(), SpecialTokenId()

    def _set_tokens(
        self,
        added: Mapping[int, AddedToken],
        special: Mapping[str, Token],
        additional: Sequence[Token],
        source: str,
    ) -> None:
        """The tokens that a new tokenizer has beside those of its vocabulary, which comes from `source`."""
        backend = self._backends.original
        self._special = {}
        self._add_with_ids(added, source)
        check_special_tokens(backend, special, source)
        for name, token in special.items():
            setattr(self, name, token)
        around = backend.encode("a").tokens
        if [*around[:1], *around[-1:]] != [self.cls_token, self.sep_token]:  # none yet, or an older one
            backend.post_processor = post_processor(backend, self.cls_token, self.sep_token)
        known = self.all_special_tokens  # of these the files may say more than their text
        new = [token for token in additional if isinstance(token, AddedToken) or token not in known]
        self.add_tokens(new, special_tokens=True)

    def _add_with_ids(self, added: Mapping[int, AddedToken], source: str) -> None:
        """Add tokens that must get these ids. Raises `CheckpointError` where others come first."""
        backend = self._backends.original
        tokens = [token for _, token in sorted(added.items())]
        known = {str(token): backend.token_to_id(str(token)) for token in tokens}
        try:
            self.add_tokens(tokens)
        except ValueError as error:
            raise CheckpointError(f"{source}: with added_tokens.json or added_tokens_decoder: {error}") from error
        for token_id, token in sorted(added.items()):
            found = backend.token_to_id(str(token))
            if found != token_id and known[str(token)] is None:
                raise CheckpointError(
                    f"{source}: added_tokens.json or added_tokens_decoder beside it gives {str(token)!r} the id"
                    f" {token_id}, but the next one after the tokens here is {found}; put the vocabulary there that"
                    " belongs to them"
                )
            if found != token_id:
                logger.warning(
                    "%s: %r has the id %d here, and %d in added_tokens.json or added_tokens_decoder beside it, which"
                    " does not count",
                    *(source, str(token), found, token_id),
                )

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """The five special tokens by name: `{"cls_token": "[CLS]", ...}`."""
        return {name: self._special[name] for name in NAMES}

    @property
    def additional_special_tokens(self) -> list[str]:
        """The special tokens without a name of their own, in the order of their ids."""
        added = self._backends.original.get_added_tokens_decoder()
        special = [token.content for _, token in sorted(added.items()) if token.special]
        return [token for token in special if token not in self._special.values()]

    @additional_special_tokens.setter
    def additional_special_tokens(self, tokens: Any) -> None:
        raise AttributeError("additional_special_tokens: add_special_tokens({'additional_special_tokens': [...]})")

    extra_special_tokens = additional_special_tokens

    @property
    def all_special_tokens(self) -> list[str]:
        """The five named special tokens, then the additional ones."""
        return list(dict.fromkeys([*self.special_tokens_map.values(), *self.additional_special_tokens]))

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        return self.convert_tokens_to_ids(self.all_special_tokens)

    def add_tokens(self, new_tokens: Token | Sequence[Token], special_tokens: bool = False) -> int:
        """Have tokens found whole in a text; those that are new get the next free ids.

        A model made before knows nothing of new ids: `model.resize_token_embeddings(len(tokenizer))`.
        special_tokens: they are no text: `skip_special_tokens` leaves them out, and no normalizer changes them.
        Returns how many were not added before, as the reference counts them: a token of the vocabulary that is only
        found whole from now on is one, too.
        """
        tokens = as_tokens(new_tokens)
        for token in tokens:
            if not isinstance(token, Token) or not str(token):
                raise ValueError(f"new_tokens: expected a str or an AddedToken that is not empty, found {token!r}")
        backend = self._backends.original
        _check_room(backend, tokens)
        count = backend.add_special_tokens(tokens) if special_tokens else backend.add_tokens(tokens)
        self._backends.forget_copies()
        return count

    def add_special_tokens(self, special_tokens_dict: Mapping[str, Token | Sequence[Token]], **options: Any) -> int:
        """Add `{"additional_special_tokens": [...]}`, or give a named one another token: `{"cls_token": "<s>"}`.

        Additional tokens join those there are. Returns how many were added, as `add_tokens` does; raises `ValueError`
        for another key.
        """
        refuse("add_special_tokens", options)
        if unknown := special_tokens_dict.keys() - {*NAMES, *ADDITIONAL}:
            expected = ", ".join((*NAMES, *ADDITIONAL))
            raise ValueError(f"special_tokens_dict: expected of the keys {expected}, found {sorted(unknown)}")
        for name in special_tokens_dict.keys() & {*NAMES}:
            token = special_tokens_dict[name]
            if not isinstance(token, Token):
                raise ValueError(f"{name}: expected a str or an AddedToken, found {token!r}")
            if name == "unk_token":
                self._check_unknown(token)
        count = 0
        for key, tokens in special_tokens_dict.items():
            count += self.add_tokens(tokens, special_tokens=True)
            if key in NAMES:
                setattr(self, key, tokens)
        return count

    def _set_special_token(self, name: str, token: Token) -> None:
        """Let `token` be what `name` stands for: in texts, around them (cls, sep), and for unknown words (unk)."""
        backend, content = self._backends.original, str(token)
        if name == "unk_token":
            self._check_unknown(token)
        if not isinstance(token, Token) or backend.token_to_id(content) is None:
            raise ValueError(
                f"{name}: the vocabulary has no {token!r}; add it with add_special_tokens({{{name!r}: {content!r}}})"
            )
        special = {added.content for added in backend.get_added_tokens_decoder().values() if added.special}
        if not isinstance(token, str) or content not in special:  # else the files may say more of it than its text
            backend.add_special_tokens([token])
        is_new = self._special.get(name, content) != content
        self._special[name] = content
        if name == "unk_token":
            backend.model.unk_token = content
        elif name in ("cls_token", "sep_token") and is_new:
            backend.post_processor = post_processor(backend, self.cls_token, self.sep_token)
        self._backends.forget_copies()

    def _check_unknown(self, token: Token) -> None:
        if self._backends.original.model.token_to_id(str(token)) is None:
            raise ValueError(
                f"unk_token: expected a token of the vocabulary itself, found {token!r}: WordPiece gives no other to"
                " words that it does not know"
            )


def _check_room(backend: Tokenizer, tokens: Sequence[Token]) -> None:
    """Raise `ValueError` where the library, which counts tokens to number new ones, would give an id twice."""
    new = [str(token) for token in tokens if backend.token_to_id(str(token)) is None]
    if new and max(backend.get_vocab().values()) >= backend.get_vocab_size():
        raise ValueError(
            f"{new[0]!r} cannot be added: the vocabulary has fewer tokens ({backend.get_vocab_size()}) than ids"
            f" ({max(backend.get_vocab().values()) + 1}); give every id a token"
        )
