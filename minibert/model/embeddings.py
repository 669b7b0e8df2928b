"""Embeddings: a token is the sum of three look-ups (Devlin et al. 2019, section 3, figure 2)."""

from torch import Tensor, nn

from minibert.model.config import BertConfig


class Embeddings(nn.Module):
    """Word + segment + position, then LayerNorm and dropout."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        # padding_idx: the padding row gets no gradient from being looked up.
        self.word = nn.Embedding(config.vocab_size, hidden, padding_idx=config.pad_token_id)
        self.segment = nn.Embedding(config.type_vocab_size, hidden)
        self.position = nn.Embedding(config.max_position_embeddings, hidden)
        self.norm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, words: Tensor, segment_ids: Tensor, position_ids: Tensor) -> Tensor:
        """Embed T tokens.

        Args:
            words: (T,) token ids, or (T, D) vectors to use instead of looked-up word embeddings.
            segment_ids: (T,) 0 for sentence A, 1 for sentence B.
            position_ids: (T,) by default each token's column in the padded batch.

        Returns: (T, D)
        """
        word_vectors = words if words.is_floating_point() else self.word(words)
        # The order of the sum decides the last bit; this is the reference's.
        x = word_vectors + self.segment(segment_ids) + self.position(position_ids)
        return self.dropout(self.norm(x))
