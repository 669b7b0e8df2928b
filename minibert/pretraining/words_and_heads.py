"""What a pretrained model has made of its words and its heads."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minibert.model.tasks import BertForPreTraining
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer

FREQUENT_WORDS = 400  # of which those whose neighbours are shown are taken
LOOKS_AT = 0.5  # of its attention: so much on one offset, on average, and a head is said to look there


def frequent_words(corpus: PackedCorpus, tokenizer: BertTokenizer, count: int = 10) -> list[str]:
    """`count` words, or all there are, from all over the most frequent ones of the text with four letters or more."""
    counts = sum(np.bincount(ids, minlength=len(tokenizer)) for ids in corpus.tokens_in_blocks())
    tokens = tokenizer.convert_ids_to_tokens(np.argsort(-np.asarray(counts), kind="stable").tolist())
    n_known = int(np.count_nonzero(counts))
    words = [token for token in tokens[:n_known] if token.isalpha() and len(token) >= 4][:FREQUENT_WORDS]
    return [words[i] for i in np.linspace(0, len(words) - 1, min(count, len(words))).astype(int)]


@torch.inference_mode()
def nearest_words(
    model: BertForPreTraining, tokenizer: BertTokenizer, words: list[str], count: int = 6
) -> dict[str, list[str]]:
    """For each of the `words`, the whole words whose input embeddings point most nearly the same way, nearest first."""
    vectors = F.normalize(model.get_input_embeddings().weight.float(), dim=1)
    vocabulary = {token: i for token, i in tokenizer.get_vocab().items() if token.isalpha()}
    names, ids = list(vocabulary), torch.tensor(list(vocabulary.values()), device=vectors.device)
    found = {}
    for word in words:
        likeness = vectors[ids] @ vectors[vocabulary[word]]
        nearest = likeness.topk(min(count + 1, len(names))).indices.tolist()
        found[word] = [names[i] for i in nearest if names[i] != word][:count]
    return found


def has_neighbours(ids: list[int]) -> bool:
    """Whether there are two tokens or more between [CLS] and [SEP]."""
    return len(ids) >= 4


@torch.inference_mode()
def neighbour_attention(model: BertForPreTraining, sentences: list[list[int]]) -> Tensor:
    """How much each head looks one token to the left and one to the right: the mean weight there, (L, H, 2).

    sentences: token ids with [CLS] and [SEP]; the tokens between these two look, at tokens between them
    """
    model.eval()
    sums, looks = torch.zeros(()), 0
    for ids in sentences:
        if not has_neighbours(ids):
            continue
        inputs = torch.tensor([ids], device=model.device)
        weights = torch.cat(model(inputs, output_attentions=True).attentions).float().cpu()[:, :, 1:-1, 1:-1]
        sides = [weights.diagonal(offset, 2, 3).sum(-1) for offset in (-1, 1)]
        sums, looks = sums + torch.stack(sides, dim=-1), looks + len(ids) - 3
    if not looks:
        raise ValueError("sentences: expected one with two tokens or more, found none")
    return sums / looks
