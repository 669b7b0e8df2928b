"""Six exercises: the functions that matter, to be written by you.

Copy this file, replace each `raise NotImplementedError` with your code, and have it graded as often as you like:

    python notebooks/exercises/grade.py my_exercises.py

PyTorch's tensors and functions may be used, but not its finished layers (no `F.layer_norm`, `F.gelu`,
`F.scaled_dot_product_attention`, `nn.MultiheadAttention`, `torch.optim`). The letters in the shapes: B sequences,
S positions, T tokens, D hidden size, H heads, K = D / H, F feed-forward size, V vocabulary.
"""

from collections.abc import Callable

from torch import Tensor

# --- 1. Embeddings (notebook 1)


def embed(
    token_ids: Tensor,
    segment_ids: Tensor,
    word: Tensor,
    segment: Tensor,
    position: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    eps: float,
) -> Tensor:
    """The sum of a word, a segment and a position vector for each token, then LayerNorm.

    Args:
        token_ids, segment_ids: (T,) whole numbers
        word, segment, position: the tables (V, D), (2, D), (M, D), for at most M positions; the first token is at
            position 0
        norm_weight, norm_bias: (D,)
        eps: is added to the variance

    Returns: (T, D)
    """
    raise NotImplementedError


# --- 2. Attention (notebook 2)


def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(Q K^T / sqrt(head size)) V, with Q, K and V the matrices of queries, keys and values.

    Args:
        query, key, value: (B, H, S, K)
        key_mask: (B, S), False where a key must not be attended to

    Returns: the context (B, H, S, K), and the weights (B, H, S, S): for each query the shares of all keys, one in sum
    """
    raise NotImplementedError


# --- 3. Heads (notebook 2)


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(B, S, D) -> (B, H, S, K): head 0 gets the first K of a token's numbers, head 1 the next K, and so on."""
    raise NotImplementedError


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, S, K) -> (B, S, D): the inverse of `split_heads`."""
    raise NotImplementedError


# --- 4. An encoder layer (notebook 3)


def encoder_layer(x: Tensor, attend: Callable[[Tensor], Tensor], weights: dict[str, Tensor], eps: float) -> Tensor:
    """Attention and feed-forward, each followed by the residual sum and then LayerNorm (post-norm); no dropout.

    Args:
        x: (T, D)
        attend: the attention, a function (T, D) -> (T, D)
        weights: "attention_norm.weight" and ".bias" (D,); "feed_forward.up.weight" (F, D) and ".bias" (F,);
            "feed_forward.down.weight" (D, F) and ".bias" (D,); "feed_forward_norm.weight" and ".bias" (D,)
        eps: of both norms

    The activation is GELU in its exact form, x * (1 + erf(x / sqrt(2))) / 2.

    Returns: (T, D)
    """
    raise NotImplementedError


# --- 5. Masking (notebook 5)


def mask_tokens(
    token_ids: Tensor, is_special: Tensor, order: Tensor, action: Tensor, random_ids: Tensor, mask_id: int
) -> tuple[Tensor, Tensor]:
    """Hide some tokens of one sequence. The dice have been thrown already: use them.

    `round(0.15 * S)` tokens are chosen, but at least one: those with the smallest `order` that are not special. A
    chosen token becomes `mask_id` where its `action` is below 0.8, stays as it is from 0.8 to 0.9, and becomes its
    `random_ids` from 0.9 on.

    Args:
        token_ids, random_ids: (S,) whole numbers
        is_special: (S,) True at [CLS] and [SEP]
        order, action: (S,) random numbers between 0 and 1

    Returns: what the model reads (S,), and the labels (S,): the original token where one was chosen, else -100
    """
    raise NotImplementedError


# --- 6. The optimizer (notebook 6)


def adamw_step(
    parameter: Tensor,
    gradient: Tensor,
    m: Tensor,
    v: Tensor,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of AdamW (Loshchilov & Hutter 2019, algorithm 2, with a decay that follows the rate, as in PyTorch).

    The parameter first decays by `lr * weight_decay` of itself, apart from the gradient. Then it moves by
    `lr * m_hat / (sqrt(v_hat) + eps)`, where m and v are the running means of the gradient and of its square, and the
    hats correct for their start at zero.

    Args:
        parameter, gradient, m, v: of any one shape
        step: 1 at the first step

    Returns: the new parameter, m and v
    """
    raise NotImplementedError
