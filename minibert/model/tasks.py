"""The seven models with a task: the encoder, one or two heads, and a loss when labels are given.

All of them take the arguments of `BertModel.forward`, by position or by name, and pass them on unchanged; their own
signatures only have what the task adds. Heads and losses work on the flat matrix of real tokens, so
padding is neither computed nor counted, and labels at masked positions are ignored.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from minibert.labels import IGNORE_INDEX
from minibert.model.bert import BertModel, BertModelOutput
from minibert.model.config import BertConfig
from minibert.model.heads import MLMHead, NSPHead, classifier_dropout
from minibert.model.losses import cross_entropy, mlm_loss, nsp_loss, sequence_loss, span_loss
from minibert.model.outputs import ModelOutput
from minibert.model.packing import Packing
from minibert.model.pretrained import BertPreTrainedModel


@dataclass
class TaskOutput(ModelOutput):
    """A loss (if labels were given) and logits, whose shape is in the model's docstring."""

    loss: Tensor | None = None  # ()
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None  # L + 1 times (B, S, D)
    attentions: tuple[Tensor, ...] | None = None  # L times (B, H, S, S)


@dataclass
class PreTrainingOutput(ModelOutput):
    """What `BertForPreTraining` returns."""

    loss: Tensor | None = None  # ()
    prediction_logits: Tensor | None = None  # (B, S, V)
    seq_relationship_logits: Tensor | None = None  # (B, 2)
    hidden_states: tuple[Tensor, ...] | None = None  # L + 1 times (B, S, D)
    attentions: tuple[Tensor, ...] | None = None  # L times (B, H, S, S)
    # The two parts of the loss, for those who want to watch them.
    loss_terms: dict[str, Tensor] | None = field(default=None, repr=False, metadata={"internal": True})


@dataclass
class QuestionAnsweringOutput(ModelOutput):
    """What `BertForQuestionAnswering` returns; at masked positions the logits are the dtype's lowest value."""

    loss: Tensor | None = None  # ()
    start_logits: Tensor | None = None  # (B, S)
    end_logits: Tensor | None = None  # (B, S)
    hidden_states: tuple[Tensor, ...] | None = None  # L + 1 times (B, S, D)
    attentions: tuple[Tensor, ...] | None = None  # L times (B, H, S, S)


class BertForPreTraining(BertPreTrainedModel):
    """Masked language modelling and next sentence prediction together (Devlin et al. 2019, section 3.1)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        self.mlm_head = MLMHead(config)
        self.nsp_head = NSPHead(config)
        self.post_init()

    def forward(
        self,
        *inputs: Tensor | None,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        labelled_logits_only: bool = False,
        label_count: float | None = None,
        **named_inputs: Tensor | bool | None,
    ) -> PreTrainingOutput:
        """The loss is the sum of both tasks' means; it is computed only if both labels are given.

        Args:
            labels: (B, S) original token ids, IGNORE_INDEX at positions that are not predicted.
            next_sentence_label: (B,) IS_NEXT or IS_RANDOM, as in `minibert/labels.py`.
            labelled_logits_only: compute vocabulary logits at labelled positions alone, (labels, V), in the order
                of `labels[labels != IGNORE_INDEX]`.
            label_count: what to divide the summed loss of the words by, as in `losses.cross_entropy`.
        """
        encoded = self.bert(*inputs, return_dict=True, **named_inputs)  # an object, also where the caller wants tuples
        mlm_logits, mlm_term = _predict_tokens(self.mlm_head, encoded, labels, labelled_logits_only, label_count)
        nsp_logits = self.nsp_head(encoded.pooler_output)
        loss, terms = None, None
        if mlm_term is not None and next_sentence_label is not None:
            terms = {"mlm_loss": mlm_term, "nsp_loss": nsp_loss(nsp_logits, next_sentence_label.view(-1))}
            loss = terms["mlm_loss"] + terms["nsp_loss"]
        return PreTrainingOutput(loss, mlm_logits, nsp_logits, encoded.hidden_states, encoded.attentions, terms)


class BertForMaskedLM(BertPreTrainedModel):
    """Masked language modelling alone; logits (B, S, V)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.mlm_head = MLMHead(config)
        self.post_init()

    def forward(
        self,
        *inputs: Tensor | None,
        labels: Tensor | None = None,
        labelled_logits_only: bool = False,
        label_count: float | None = None,
        **named_inputs: Tensor | bool | None,
    ) -> TaskOutput:
        """
        Args:
            labels: (B, S) original token ids, IGNORE_INDEX at positions that are not predicted.
            labelled_logits_only: compute vocabulary logits at labelled positions alone, (labels, V), in the order
                of `labels[labels != IGNORE_INDEX]`.
            label_count: what to divide the summed loss of the words by, as in `losses.cross_entropy`.
        """
        encoded = self.bert(*inputs, return_dict=True, **named_inputs)
        logits, loss = _predict_tokens(self.mlm_head, encoded, labels, labelled_logits_only, label_count)
        return TaskOutput(loss, logits, encoded.hidden_states, encoded.attentions)


def _predict_tokens(
    head: MLMHead,
    encoded: BertModelOutput,
    labels: Tensor | None,
    labelled_logits_only: bool,
    label_count: float | None,
) -> tuple[Tensor, Tensor | None]:
    """The MLM logits, (B, S, V) or at labelled positions alone (labels, V), and the loss if there are labels."""
    if labels is None:
        if labelled_logits_only:
            raise ValueError("labelled_logits_only=True needs labels: they say which positions to compute")
        return encoded.packing.unflatten(head(encoded.tokens)), None
    packing = encoded.packing
    labels = _labels_of_real_tokens(labels, packing)  # (B, S)
    if labelled_logits_only:
        labelled = (labels != IGNORE_INDEX).flatten().nonzero()[:, 0]
        x = encoded.last_hidden_state.flatten(0, 1)[labelled]  # (labels, D)
        labels = labels.flatten()[labelled]
        logits = head(packing.fill_up(x))
        return logits[: len(x)], mlm_loss(logits, packing.fill_up(labels, IGNORE_INDEX), label_count)
    logits = head(encoded.tokens)  # (T, V)
    return packing.unflatten(logits), mlm_loss(logits, packing.flatten(labels, IGNORE_INDEX), label_count)


class BertForNextSentencePrediction(BertPreTrainedModel):
    """Next sentence prediction alone; logits (B, 2)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        self.nsp_head = NSPHead(config)
        self.post_init()

    def forward(
        self, *inputs: Tensor | None, labels: Tensor | None = None, **named_inputs: Tensor | bool | None
    ) -> TaskOutput:
        """
        Args:
            labels: (B,) IS_NEXT or IS_RANDOM.
        """
        encoded = self.bert(*inputs, return_dict=True, **named_inputs)
        logits = self.nsp_head(encoded.pooler_output)
        loss = None if labels is None else nsp_loss(logits, labels.view(-1))
        return TaskOutput(loss, logits, encoded.hidden_states, encoded.attentions)


class BertForSequenceClassification(BertPreTrainedModel):
    """One or several classes, or a number, for a whole sequence; logits (B, C)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        self.dropout = classifier_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self, *inputs: Tensor | None, labels: Tensor | None = None, **named_inputs: Tensor | bool | None
    ) -> TaskOutput:
        """`config.problem_type` says what the labels mean; if it is unset, they and the number of classes do.

        Args:
            labels: (B,) class numbers; or (B, C) of 0.0 and 1.0 for several classes at once; or, with one class,
                (B,) target numbers.
        """
        encoded = self.bert(*inputs, return_dict=True, **named_inputs)
        logits = self.classifier(self.dropout(encoded.pooler_output))
        loss = None
        if labels is not None:
            # Kept in the config, as in the reference: a saved classifier knows what it was trained for.
            self.config.problem_type = self.config.problem_type or _tell_problem_type(labels, self.config.num_labels)
            loss = sequence_loss(logits, labels, self.config.problem_type)
        return TaskOutput(loss, logits, encoded.hidden_states, encoded.attentions)


def _tell_problem_type(labels: Tensor, num_labels: int) -> str:
    if num_labels == 1:
        return "regression"
    return "multi_label_classification" if labels.is_floating_point() else "single_label_classification"


class BertForTokenClassification(BertPreTrainedModel):
    """A class for every token; logits (B, S, C)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.dropout = classifier_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        *inputs: Tensor | None,
        labels: Tensor | None = None,
        label_count: float | None = None,
        **named_inputs: Tensor | bool | None,
    ) -> TaskOutput:
        """
        Args:
            labels: (B, S) class numbers, IGNORE_INDEX at tokens without one.
            label_count: what to divide the summed loss by, as in `losses.cross_entropy`.
        """
        encoded = self.bert(*inputs, return_dict=True, **named_inputs)
        logits = self.classifier(self.dropout(encoded.tokens))  # (T, C)
        loss = None
        if labels is not None:
            labels = _labels_of_real_tokens(labels, encoded.packing)
            loss = cross_entropy(logits, encoded.packing.flatten(labels, IGNORE_INDEX), label_count=label_count)
        return TaskOutput(loss, encoded.packing.unflatten(logits), encoded.hidden_states, encoded.attentions)


class BertForQuestionAnswering(BertPreTrainedModel):
    """Where an answer starts and ends; logits twice (B, S) (Devlin et al. 2019, section 4.2)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.span_classifier = nn.Linear(config.hidden_size, 2)
        self.post_init()

    def forward(
        self,
        *inputs: Tensor | None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        label_count: float | None = None,
        **named_inputs: Tensor | bool | None,
    ) -> QuestionAnsweringOutput:
        """The loss is computed only if both positions are given.

        Args:
            start_positions, end_positions: (B,) columns of the answer's first and last token.
            label_count: what to divide the summed loss by, as in `losses.span_loss`.
        """
        encoded = self.bert(*inputs, return_dict=True, **named_inputs)
        logits = self.span_classifier(encoded.tokens)  # (T, 2)
        lowest = torch.finfo(logits.dtype).min
        start_logits, end_logits = encoded.packing.unflatten(logits, fill=lowest).unbind(-1)  # (B, S) each
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = span_loss(start_logits, end_logits, start_positions, end_positions, label_count)
        return QuestionAnsweringOutput(
            loss, start_logits.contiguous(), end_logits.contiguous(), encoded.hidden_states, encoded.attentions
        )


class BertForMultipleChoice(BertPreTrainedModel):
    """One score for each of several continuations; inputs are (B, choices, S), logits (B, choices)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        self.dropout = classifier_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.post_init()

    def forward(
        self, *inputs: Tensor | None, labels: Tensor | None = None, **named_inputs: Tensor | bool | None
    ) -> TaskOutput:
        """
        Args:
            labels: (B,) the number of the right choice.
        """
        shapes = [x.shape for x in (*inputs, *named_inputs.values()) if isinstance(x, Tensor)]
        if not shapes or any(len(shape) < 3 for shape in shapes):
            raise ValueError(f"inputs must have shape (batch, choices, sequence), got {list(map(tuple, shapes))}")
        merged = {name: _merge_choices(x) for name, x in named_inputs.items()}
        encoded = self.bert(*map(_merge_choices, inputs), return_dict=True, **merged)
        logits = self.classifier(self.dropout(encoded.pooler_output)).view(-1, shapes[0][1])
        loss = None if labels is None else cross_entropy(logits, labels.view(-1))
        return TaskOutput(loss, logits, encoded.hidden_states, encoded.attentions)


def _merge_choices(x: Tensor | bool | None) -> Tensor | bool | None:
    """(B, choices, ...) -> (B * choices, ...); flags stay as they are."""
    return x.flatten(0, 1) if isinstance(x, Tensor) else x


def _labels_of_real_tokens(labels: Tensor, packing: Packing) -> Tensor:
    """(B, S) -> (B, S), with IGNORE_INDEX at masked positions, whatever stands there."""
    expected = (packing.batch_size, packing.seq_len)
    if tuple(labels.shape) != expected:
        raise ValueError(f"labels must have shape {expected} like the input, got {tuple(labels.shape)}")
    return packing.unflatten(packing.flatten(labels), fill=IGNORE_INDEX)
