"""Which sentences of a corpus are kept away from training, to measure with: a small share of the tokens."""

import numpy as np

# Documents differ in length, so every twentieth of some hundreds may by chance be more than a twentieth of the tokens.
# That they stay whole is worth so many shares: what is held out then does not depend on the vocabulary.
MOST_SHARES = 2.5


def hold_out(starts: np.ndarray, documents: np.ndarray, every: int) -> tuple[np.ndarray, np.ndarray]:
    """The documents to train on, and those held out: about a share of 1 / `every` of the tokens.

    Every `every`-th document is held out, a whole one, because sentences of one document tell much about each other.
    Where one of them is longer than the share, or all together than `MOST_SHARES` of it, those that are longest give
    their last sentences alone, so that about the share is held out. Where the documents are less than half of
    the share, as few may be, the end of the longest document is held out as well. Where no sentence is as short as the
    share, the shortest at the end of a document is held out all the same: there must be two sentences or more.

    Args:
        starts: (n_sentences + 1,) where each sentence begins, in tokens.
        documents: (n_documents, 2) the first sentence of each document and the one after its last.

    Returns: the same of both parts, (n, 2) each.
    """
    firsts, ends = documents.T
    lengths = starts[ends] - starts[firsts]
    share = int(lengths.sum()) // every
    cuts = ends.copy()  # where the part of each document begins that is held out
    chosen = np.arange(every - 1, len(documents), every)
    are_small = lengths[chosen].max(initial=0) <= share and lengths[chosen].sum() <= MOST_SHARES * share
    most = int(lengths.max()) if are_small else _fair_part(lengths[chosen].tolist(), share)
    cuts[chosen] = [_last_sentences(starts, first, end, most) for first, end in documents[chosen].tolist()]
    rest = share - int((starts[ends] - starts[cuts]).sum())
    if rest > share / 2:
        longest = int((starts[cuts] - starts[firsts]).argmax())
        cuts[longest] = _last_sentences(starts, int(firsts[longest]), int(cuts[longest]), rest)
    if (cuts == ends).all():
        cuts[(starts[ends] - starts[ends - 1]).argmin()] -= 1
    train, held_out = (np.stack(part, axis=1) for part in ((firsts, cuts), (cuts, ends)))
    return train[firsts < cuts], held_out[cuts < ends]


def _fair_part(lengths: list[int], share: int) -> int:
    """The most tokens that any of the documents may give, so that all together give no more than `share`."""
    for position, length in enumerate(sorted(lengths)):
        part = share // (len(lengths) - position)
        if length > part:
            return part
        share -= length
    return max(lengths, default=0)


def _last_sentences(starts: np.ndarray, first: int, end: int, most: int) -> int:
    """Of the sentences from `first` to `end`, the first of those at the end that are at most `most` tokens."""
    return first + int(np.searchsorted(starts[first : end + 1], starts[end] - most))
