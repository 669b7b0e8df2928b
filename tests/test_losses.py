"""The losses against their formulas, and at their edges."""

import pytest
import torch
import torch.nn.functional as F

from minibert.labels import IGNORE_INDEX, IS_NEXT, IS_RANDOM
from minibert.model.losses import BLOCK, cross_entropy, mlm_loss, nsp_loss, sequence_loss, span_loss

LOGITS = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.tensor([0, IGNORE_INDEX, 4, 2, IGNORE_INDEX, 2])


@pytest.mark.parametrize("loss", [cross_entropy, mlm_loss])
def test_the_mean_over_the_labels_that_are_there(loss):
    kept = [i for i in range(6) if LABELS[i] != IGNORE_INDEX]
    expected = sum(LOGITS[i].exp().sum().log() - LOGITS[i, LABELS[i]] for i in kept) / len(kept)
    torch.testing.assert_close(loss(LOGITS, LABELS), expected)
    assert torch.equal(loss(LOGITS.float(), LABELS), F.cross_entropy(LOGITS.float(), LABELS))


@pytest.mark.parametrize("examples", [0, 3])
def test_no_label_is_a_loss_of_zero(examples):
    logits = torch.randn(examples, 5, requires_grad=True)
    loss = mlm_loss(logits, torch.full((examples,), IGNORE_INDEX))
    loss.backward()
    assert loss == 0 and torch.equal(logits.grad, torch.zeros(examples, 5))


@pytest.mark.parametrize("labels", [LABELS, torch.tensor([3, *[IGNORE_INDEX] * 5])], ids=["four", "one"])
def test_parts_of_a_batch_average_to_the_whole(labels):
    count = int((labels != IGNORE_INDEX).sum()) / 2  # the mean of two parts, which may be less than one label
    parts = [mlm_loss(LOGITS[half], labels[half], label_count=count) for half in (slice(0, 2), slice(2, 6))]
    torch.testing.assert_close(sum(parts) / 2, mlm_loss(LOGITS, labels))
    assert mlm_loss(LOGITS[:1], labels[1:2], label_count=0) == 0


def test_many_blocks_of_rows_are_one_batch():
    generator = torch.Generator().manual_seed(1)
    ours = torch.randn(7, BLOCK // 2, generator=generator, requires_grad=True)  # two rows a block, and one left over
    labels = torch.tensor([0, 3, IGNORE_INDEX, BLOCK // 2 - 1, 1, IGNORE_INDEX, 2])
    theirs = ours.detach().clone().requires_grad_()
    loss, expected = mlm_loss(ours, labels), F.cross_entropy(theirs, labels)
    loss.backward(), expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=0)


@pytest.mark.parametrize("wrong", [5, -1, -101])
def test_a_label_that_is_no_class_is_refused(wrong):
    with pytest.raises(ValueError, match=rf"labels must lie in \[0, 5\) or be -100, got {wrong}"):
        cross_entropy(LOGITS, torch.tensor([0, 1, 2, wrong, 4, 0]))


@pytest.mark.parametrize("labels", [torch.zeros(4, dtype=torch.long), torch.zeros(6), torch.zeros(6, dtype=torch.int)])
def test_labels_of_another_shape_or_type_are_refused(labels):
    with pytest.raises(ValueError, match=rf"labels must be .*{len(labels)}.*{labels.dtype}"):
        cross_entropy(LOGITS, labels)


def test_nsp_is_the_sigmoid_loss_with_the_label_flipped():
    logits, labels = LOGITS[:, :2], torch.tensor([IS_NEXT, IS_RANDOM, IS_RANDOM, IS_NEXT, IS_NEXT, IS_RANDOM])
    is_adjacent = 1.0 - labels
    p = torch.sigmoid(logits[:, IS_NEXT] - logits[:, IS_RANDOM])  # that B follows A
    textbook = -(is_adjacent * p.log() + (1 - is_adjacent) * (1 - p).log()).mean()
    torch.testing.assert_close(nsp_loss(logits, labels), textbook)
    assert (IS_NEXT, IS_RANDOM) == (0, 1)


def test_sequence_loss_of_every_kind():
    classes = torch.tensor([1, 0, 4, 2, 3, 1])
    torch.testing.assert_close(
        sequence_loss(LOGITS, classes, "single_label_classification"),
        -LOGITS.log_softmax(1)[torch.arange(6), classes].mean(),
    )
    several = (LOGITS > 0.3).double()
    p = LOGITS.sigmoid()
    torch.testing.assert_close(
        sequence_loss(LOGITS, several, "multi_label_classification"),
        -(several * p.log() + (1 - several) * (1 - p).log()).mean(),
    )
    numbers = LOGITS.roll(1, 0)
    torch.testing.assert_close(sequence_loss(LOGITS, numbers, "regression"), (LOGITS - numbers).square().mean())
    for shape in ((6,), (6, 1)):  # one number per sequence must not be compared with every other's
        loss = sequence_loss(LOGITS[:, :1], numbers[:, 0].view(shape), "regression")
        torch.testing.assert_close(loss, (LOGITS[:, 0] - numbers[:, 0]).square().mean())


# --- spans, over positions

STARTS, ENDS = LOGITS, LOGITS.roll(2, 0)


def one_loss(logits: torch.Tensor, positions: list[int]) -> torch.Tensor:
    """The mean of -log softmax at `positions`, by the number of the row; -1: the row does not count."""
    kept = [-logits[i].log_softmax(0)[p] for i, p in enumerate(positions) if p >= 0]
    return sum(kept) / max(1, len(kept)) + torch.zeros((), dtype=logits.dtype)


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_span_loss_is_the_mean_of_start_and_end(shape):
    starts, ends = [0, 1, 2, 0, 3, 4], [0, 2, 4, 3, 3, 4]
    found = span_loss(STARTS, ENDS, torch.tensor(starts).view(shape), torch.tensor(ends).view(shape))
    torch.testing.assert_close(found, (one_loss(STARTS, starts) + one_loss(ENDS, ends)) / 2)


def test_an_answer_beyond_the_sequence_does_not_count():
    found = span_loss(STARTS, ENDS, torch.tensor([0, 5, 99, 2, 1, 1]), torch.tensor([1, 7, 99, 5, 1, 3]))
    expected = (one_loss(STARTS, [0, -1, -1, 2, 1, 1]) + one_loss(ENDS, [1, -1, -1, -1, 1, 3])) / 2
    torch.testing.assert_close(found, expected)
    assert span_loss(STARTS, ENDS, torch.full((6,), 5), torch.full((6,), 5)) == 0


def test_an_answer_in_the_padding_does_not_count():
    lowest = torch.finfo(STARTS.dtype).min
    padded = [logits.clone().index_fill(1, torch.tensor([4]), lowest) for logits in (STARTS, ENDS)]
    found = span_loss(*padded, torch.tensor([0, 4, 2, 2, 1, 4]), torch.tensor([1, 4, 3, 3, 1, 4]))
    expected = (one_loss(STARTS[:, :4], [0, -1, 2, 2, 1, -1]) + one_loss(ENDS[:, :4], [1, -1, 3, 3, 1, -1])) / 2
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("parts", [[6], [1, 5], [2, 2, 2], [1] * 6])
def test_answers_beyond_the_sequence_do_not_count_however_the_batch_is_divided(parts):
    """Seven of the starts and ends are there; parts that are given the mean of their counts agree with the whole."""
    starts, ends = torch.tensor([0, 5, 99, 2, 1, 1]), torch.tensor([1, 7, 99, 5, 1, 3])
    count = 7 / len(parts)
    divided = zip(*(x.split(parts) for x in (STARTS, ENDS, starts, ends)), strict=True)
    losses = [span_loss(*part, label_count=count) for part in divided]
    terms = [-STARTS[i].log_softmax(0)[starts[i]] for i in (0, 3, 4, 5)]
    terms += [-ENDS[i].log_softmax(0)[ends[i]] for i in (0, 4, 5)]
    torch.testing.assert_close(sum(losses) / len(losses), sum(terms) / 7)


def test_a_count_of_no_answers_is_no_loss():
    assert span_loss(STARTS, ENDS, torch.full((6,), 5), torch.full((6,), 5), label_count=0) == 0


def test_a_position_before_the_sequence_is_its_first():
    """As in the reference, for which [CLS] means that there is no answer."""
    torch.testing.assert_close(
        span_loss(STARTS, ENDS, torch.tensor([-1, 1, -9, 2, 0, 4]), torch.tensor([-1, 2, 0, 3, -5, 4])),
        span_loss(STARTS, ENDS, torch.tensor([0, 1, 0, 2, 0, 4]), torch.tensor([0, 2, 0, 3, 0, 4])),
    )


def test_labels_of_another_type_than_the_logits():
    several = LOGITS > 0.3
    expected = sequence_loss(LOGITS, several.double(), "multi_label_classification")
    assert torch.equal(sequence_loss(LOGITS, several.long(), "multi_label_classification"), expected)
    for logits in (LOGITS.float(), LOGITS.bfloat16()):
        loss = sequence_loss(logits, torch.arange(30).view(6, 5).double(), "regression")
        assert loss.dtype == logits.dtype
