"""Random models, batches and tasks against the reference, in float64: what nobody thought of is in there somewhere."""

from random import Random
from typing import Any

import pytest
import torch
from reference import ATTENTIONS, TASKS, assert_near, gradient_difference, ours_of, reference_model, use_attention
from torch import Tensor

from minibert.labels import IGNORE_INDEX
from minibert.model.config_checks import ACTIVATIONS

LONGEST = 512
NUMBERS_OF_LABELS = {"BertForSequenceClassification": (1, 2, 5), "BertForTokenClassification": (2, 5)}


def random_config(rng: Random, class_name: str) -> dict[str, Any]:
    """A value for every field that changes a number."""
    heads, vocab_size = rng.choice((1, 2, 3, 4, 7)), rng.randint(8, 300)
    return {
        "vocab_size": vocab_size,
        # LayerNorm makes a constant of one or two numbers, and gradients are then nothing but rounding.
        "hidden_size": heads * rng.choice((1, 3, 8, 16) if heads > 2 else (3, 8, 16)),
        "num_hidden_layers": rng.randint(1, 5),
        "num_attention_heads": heads,
        "intermediate_size": rng.randint(1, 100),
        "max_position_embeddings": LONGEST,
        "type_vocab_size": rng.randint(1, 4),
        "hidden_act": rng.choice(ACTIVATIONS),
        "layer_norm_eps": rng.choice((1e-12, 1e-12, 1e-5, 0.05)),
        "pad_token_id": rng.choice((0, 0, None, rng.randrange(vocab_size))),
        "tie_word_embeddings": rng.random() < 0.7,
        "num_labels": rng.choice(NUMBERS_OF_LABELS.get(class_name, (2,))),
    }


def random_batch(class_name: str, config, longest: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Four ragged sequences with labels. For answers they are of one length: the reference's loss counts padding."""

    def draw(limit: int, *shape: int) -> Tensor:
        return torch.randint(limit, shape, generator=generator)

    lengths = torch.full((4,), longest)
    if class_name != "BertForQuestionAnswering":
        lengths[1:] = 2 + draw(longest - 1, 3)
    mask = (torch.arange(longest) < lengths[:, None]).long()
    per_token = (mask == 0) | (draw(3, 4, longest) == 0)
    limits = {"BertForTokenClassification": config.num_labels, "BertForMultipleChoice": 2}
    labels = {"labels": draw(limits.get(class_name, 2), 4)}
    if class_name == "BertForQuestionAnswering":
        labels = {"start_positions": draw(longest, 4), "end_positions": draw(longest, 4)}
    elif class_name == "BertForSequenceClassification":
        labels = {
            "labels": torch.randn(4, generator=generator).double() if config.num_labels == 1 else labels["labels"]
        }
    elif class_name in ("BertForPreTraining", "BertForMaskedLM", "BertForTokenClassification"):
        limit = limits.get(class_name, config.vocab_size)
        labels = {"labels": draw(limit, 4, longest).masked_fill(per_token, IGNORE_INDEX)}
    if class_name == "BertForPreTraining":
        labels["next_sentence_label"] = draw(2, 4)
    if class_name == "BertForMultipleChoice":
        mask = torch.stack([mask, mask.roll(1, 0)], dim=1)
    ids = {
        "input_ids": draw(config.vocab_size, *mask.shape),
        "token_type_ids": draw(config.type_vocab_size, *mask.shape),
    }
    return {**ids, "attention_mask": mask, **labels}


def assert_parity(seed: int, longest: int) -> None:
    """Outputs and loss to 1e-12 of their largest number, gradients to 1e-10 of the model's largest."""
    rng = Random(seed)
    class_name = rng.choice(TASKS)
    theirs = reference_model(class_name, torch.float64, **random_config(rng, class_name))
    ours = ours_of(theirs)
    use_attention(rng.choice(ATTENTIONS), theirs)
    use_attention(rng.choice(ATTENTIONS), ours)
    generator = torch.Generator().manual_seed(seed)
    batch = random_batch(class_name, theirs.config, rng.randint(2, longest), generator)
    found, expected = ours(**batch), theirs(**batch)
    for name in expected.keys():  # noqa: SIM118
        x, y = found[name], expected[name]
        if x.shape[:2] == batch["input_ids"].shape:
            x, y = x[batch["attention_mask"] != 0], y[batch["attention_mask"] != 0]
        assert_near(x, y, 1e-12, f"seed {seed}: {name} of {class_name}, {theirs.config}")
    if expected.loss.isfinite():  # there is none without a label
        found.loss.backward()
        expected.loss.backward()
        assert gradient_difference(ours, theirs) <= 1e-10, f"seed {seed}: {class_name}, {theirs.config}"


@pytest.mark.parametrize("seed", range(12))
def test_random_config(seed):
    assert_parity(seed, 64)


@pytest.mark.soak
@pytest.mark.parametrize("hundred", range(5))
def test_five_hundred_random_configs(hundred):
    for seed in range(1000 + 100 * hundred, 1100 + 100 * hundred):
        assert_parity(seed, LONGEST)
