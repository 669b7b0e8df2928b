"""`Explorer`: from a model and a view to the numbers that the page shows, all of them those of the model itself."""

import copy
import threading
from typing import Any

import torch
from torch import Tensor

from minibert.explorer import readings
from minibert.explorer.recording import Recording, record
from minibert.explorer.view import MOST_PIECES, Pieces, View, read_pieces
from minibert.model.bert import BertModel
from minibert.model.pretrained import BertPreTrainedModel
from minibert.text.tokenizer import BertTokenizer

SHOWN_DIMENSIONS = 64  # of a vector, from its first; norms are those of all
DIGITS = 4  # after the point; a page of maps is long enough


class Explorer:
    """A model to look into. Several threads may use one at the same time.

    model: any of minibert's in fp32, with or without a head. It stays as it is: hooks go to a copy of its modules,
        which shares the weights.
    name: what the page calls it.
    Raises: `ValueError` for a model in another dtype.
    """

    def __init__(self, model: BertPreTrainedModel, tokenizer: BertTokenizer, name: str) -> None:
        if model.dtype != torch.float32:
            raise ValueError(f"model: the explorer computes in float32, {name} is in {model.dtype}; load it as float32")
        shared = {id(parameter): parameter for parameter in model.parameters()}
        self.model = copy.deepcopy(model, memo=shared).eval()
        self.encoder: BertModel = self.model.base_model
        self.tokenizer = tokenizer
        self.name = name
        known = (*readings.FILLS_MASKS, *readings.JUDGES_PAIRS, *readings.CLASSIFIES)
        self._called = self.model if isinstance(self.model, known) else self.encoder
        self._lock = threading.Lock()  # hooks of one view must not see the pass of another

    def about(self) -> dict[str, Any]:
        """What a page must know of the model before it shows anything."""
        config, classifies = self.model.config, isinstance(self.model, readings.CLASSIFIES)
        return {
            "name": self.name,
            "class": type(self.model).__name__,
            "layers": config.num_hidden_layers,
            "heads": config.num_attention_heads,
            "hidden": config.hidden_size,
            "head_size": config.hidden_size // config.num_attention_heads,
            "feed_forward": config.intermediate_size,
            "vocabulary": config.vocab_size,
            "positions": config.max_position_embeddings,
            "segments": config.type_vocab_size,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "most_pieces": min(MOST_PIECES, config.max_position_embeddings),
            "shown_dimensions": min(SHOWN_DIMENSIONS, config.hidden_size),
            "fills_masks": isinstance(self.model, readings.FILLS_MASKS),
            "judges_pairs": isinstance(self.model, readings.JUDGES_PAIRS),
            "labels": [config.id2label[i] for i in range(config.num_labels)] if classifies else None,
            "problem_type": config.problem_type if classifies else None,
        }

    def look(self, view: View, before: View | None = None) -> dict[str, Any]:
        """All that the page shows of a view, but one head from near.

        before: what the answers are compared with. None: the same view with nothing switched off, if something is.
        Raises: `ValueError` for a view that cannot be.
        """
        pieces, recording = self._record(view)
        if before is None and (view.heads_off or view.layers_off):
            before = View(view.text, view.pair, view.masked, view.flipped, position=view.position)
        earlier = None if before is None else self._record(before)
        return {
            "pieces": self._describe_pieces(pieces),
            "position": pieces.position,
            "embeddings": _describe_embeddings(recording),
            "attentions": [_rounded(weights[0]) for weights in recording.outputs.attentions],
            **self._answers(pieces, recording, earlier),
        }

    @torch.inference_mode()
    def head(self, view: View, layer: int, head: int) -> dict[str, Any]:
        """One head from near: for every query i and key j the steps from vectors to what i takes from j.

        Returns: `query`, `key`, `value` (S, K); `scores` q·k / sqrt(K), their softmax `weights`, and `taken`, the
            length of weight times the value as the output projection sends it on, all (S, S).
        Raises: `ValueError` for a view that cannot be, or a head that is not there.
        """
        attention = self._attention(layer, head)
        _, recording = self._record(view)
        projected = recording.projections[layer].items()
        vectors = {name: x.unflatten(-1, (attention.num_heads, -1))[:, head] for name, x in projected}  # (S, K)
        query, key, value = (vectors[name] for name in ("query", "key", "value"))
        weights = recording.outputs.attentions[layer][0, head]
        # Its columns of the output projection are all that a head has of it.
        own_columns = attention.mix.weight.unflatten(1, (attention.num_heads, -1))[:, head]  # (D, K)
        taken = weights * (value @ own_columns.T).norm(dim=-1)
        found = {"scores": query @ key.T * query.shape[-1] ** -0.5, "weights": weights, "taken": taken}
        return {"layer": layer, "head": head} | {name: _rounded(x) for name, x in (vectors | found).items()}

    def _attention(self, layer: int, head: int) -> Any:
        config = self.model.config
        limits = {"layer": (layer, config.num_hidden_layers), "head": (head, config.num_attention_heads)}
        for name, (number, limit) in limits.items():
            if not 0 <= number < limit:
                raise ValueError(f"{name} must lie in [0, {limit}), got {number}")
        return self.encoder.encoder.layer[layer].attention

    def _record(self, view: View) -> tuple[Pieces, Recording]:
        pieces = read_pieces(view, self.tokenizer, self.model.config)
        columns = {"input_ids": pieces.ids, "token_type_ids": pieces.segments}
        inputs = {name: torch.tensor([row], device=self.model.device) for name, row in columns.items()}
        with self._lock:
            return pieces, record(self._called, self.encoder, inputs, view.heads_off, view.layers_off)

    def _describe_pieces(self, pieces: Pieces) -> list[dict[str, Any]]:
        originals = self.tokenizer.convert_ids_to_tokens(pieces.original_ids)
        columns = zip(
            *(pieces.tokens, pieces.ids, originals, pieces.segments, pieces.words, pieces.characters), strict=True
        )
        names = ("piece", "id", "original", "segment", "word", "characters")
        return [dict(zip(names, column, strict=True)) for column in columns]

    def _answers(self, pieces: Pieces, now: Recording, earlier: tuple[Pieces, Recording] | None) -> dict[str, Any]:
        """Candidates, lens, next sentence and classes, beside those of an earlier view if there is one."""
        model, words, lens, lens_before = self.model, None, None, None
        before_pieces, before = earlier or (None, None)
        probabilities = readings.word_probabilities(model, now, pieces)
        if probabilities is not None and pieces.position is not None:
            compared = None
            if before is not None and before_pieces is not None and before_pieces.position is not None:
                compared = readings.word_probabilities(model, before, before_pieces)
                lens_before = readings.logit_lens(model, before, before_pieces.position, self.tokenizer)
            masked = pieces.original_ids[pieces.position]
            original = None if masked == self.tokenizer.mask_token_id else masked
            words = readings.candidates(probabilities, compared, original, self.tokenizer)
            lens = readings.logit_lens(model, now, pieces.position, self.tokenizer)
        return {
            "is_compared": before is not None,
            "candidates": words,
            "lens": lens,
            "lens_before": lens_before,
            "next_sentence": readings.next_sentence(model, now),
            "next_sentence_before": None if before is None else readings.next_sentence(model, before),
            "classes": readings.classes(model, now),
            "classes_before": None if before is None else readings.classes(model, before),
        }


def _describe_embeddings(recording: Recording) -> dict[str, Any]:
    """Of each of the three vectors, their sum and its LayerNorm: the first dimensions (S, SHOWN), the lengths (S,)."""
    return {
        name: {"values": _rounded(x[:, :SHOWN_DIMENSIONS]), "norms": _rounded(x.norm(dim=-1))}
        for name, x in recording.embeddings.items()
    }


def _rounded(x: Tensor) -> list:
    # In double precision, as JSON has it: there a rounded number is short.
    return x.double().round(decimals=DIGITS).tolist()
