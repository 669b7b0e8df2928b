"""`BertModel`: embeddings, encoder, pooler (Devlin et al. 2019, section 3)."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from minibert.model.config import BertConfig
from minibert.model.embeddings import Embeddings
from minibert.model.encoder import Encoder
from minibert.model.inputs import Inputs
from minibert.model.outputs import ModelOutput
from minibert.model.packing import Packing, form_for
from minibert.model.pretrained import BertPreTrainedModel


@dataclass
class BertModelOutput(ModelOutput):
    """What `BertModel` returns; zeros at masked positions."""

    last_hidden_state: Tensor | None = None  # (B, S, D)
    pooler_output: Tensor | None = None  # (B, D)
    hidden_states: tuple[Tensor, ...] | None = None  # L + 1 times (B, S, D): the embeddings, then every layer
    attentions: tuple[Tensor, ...] | None = None  # L times (B, H, S, S)

    # What the heads work on: the same hidden states without padding, (T, D), and the `Packing` that says where they
    # belong.
    tokens: Any = field(default=None, repr=False, metadata={"internal": True})
    packing: Any = field(default=None, repr=False, metadata={"internal": True})


class Pooler(nn.Module):
    """tanh(W x + b) of the first token, [CLS]: the vector that stands for the whole sequence."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = nn.Tanh()

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, S, D) -> (B, D)"""
        return self.activation(self.dense(hidden_states[:, 0]))


class BertModel(BertPreTrainedModel):
    """The encoder without a task: hidden states for every token, and a pooled vector for every sequence."""

    is_encoder = True

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config) if add_pooling_layer else None
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> BertModelOutput:
        """Encode a batch.

        Args:
            input_ids: (B, S) token ids.
            attention_mask: (B, S) nonzero at real tokens, in any pattern; default: all real.
            token_type_ids: (B, S) 0 for sentence A, 1 for sentence B; default: all 0.
            position_ids: (B, S) or (1, S); default: the columns 0, 1, ..., S - 1.
            inputs_embeds: (B, S, D) vectors to use instead of looked-up word embeddings.
            output_attentions: also return every layer's attention weights (uses the explicit attention).
            output_hidden_states: also return the embeddings' output and every layer's.

        Raises: `ValueError` naming the argument, what was expected and what came.
        """
        config = self.config
        output_attentions = config.output_attentions if output_attentions is None else output_attentions
        output_hidden_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        inputs = Inputs.check(config, input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        batch_size, seq_len = inputs.words.shape[:2]
        packing = Packing.from_mask(inputs.attention_mask, batch_size, seq_len, **form_for(self.encoder))
        words, segments, positions = map(packing.flatten, (inputs.words, inputs.segment_ids, inputs.position_ids))
        x = self.embeddings(words, segments, positions)  # (T, D)
        x, hidden_states, attentions = self.encoder(x, packing, output_attentions, output_hidden_states)
        if self.pooler is not None:
            packing.warn_where_padding_comes_first()
        last_hidden_state = hidden_states[-1] if output_hidden_states else packing.unflatten(x)  # (B, S, D)
        return BertModelOutput(
            last_hidden_state=last_hidden_state,
            pooler_output=None if self.pooler is None else self.pooler(last_hidden_state),
            hidden_states=tuple(hidden_states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
            tokens=x,
            packing=packing,
        )
