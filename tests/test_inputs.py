"""Bad input is a `ValueError` that names the argument, what was expected and what came."""

import pytest
import torch

from minibert.model.config import BertConfig
from minibert.model.inputs import Inputs

CONFIG = BertConfig(
    vocab_size=10, hidden_size=4, num_attention_heads=2, max_position_embeddings=6, type_vocab_size=3, pad_token_id=None
)
IDS = torch.arange(8).view(2, 4)


def check(**arguments) -> Inputs:
    names = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds")
    return Inputs.check(CONFIG, **{name: arguments.get(name) for name in names})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one of input_ids and inputs_embeds"),
        ({"input_ids": IDS, "inputs_embeds": torch.zeros(2, 4, 4)}, "exactly one of input_ids and inputs_embeds"),
        ({"input_ids": [[1, 2]]}, "input_ids must be a tensor, got list"),
        ({"input_ids": IDS[0]}, r"input_ids must have shape \(batch, sequence\), got \(4,\)"),
        ({"input_ids": IDS[None]}, r"input_ids .* got \(1, 2, 4\)"),
        ({"input_ids": IDS[:, :0]}, r"\(2, 0\)"),
        ({"input_ids": IDS.float()}, r"input_ids must hold whole numbers .* got torch.float32"),
        ({"input_ids": IDS > 1}, "input_ids must hold whole numbers .* got torch.bool"),
        ({"input_ids": IDS.to(torch.uint8)}, "input_ids must hold whole numbers .* got torch.uint8"),
        ({"input_ids": IDS + 3}, r"input_ids must lie in \[0, vocab_size=10\), got 10"),
        ({"input_ids": IDS - 1}, r"input_ids must lie in \[0, vocab_size=10\), got -1"),
        ({"input_ids": IDS.view(1, 8)}, "have 8 tokens, .* max_position_embeddings=6; truncate"),
        ({"inputs_embeds": torch.zeros(2, 4, 5)}, r"inputs_embeds .*hidden_size=4\), got \(2, 4, 5\)"),
        ({"inputs_embeds": torch.zeros(2, 4)}, r"inputs_embeds .* got \(2, 4\)"),
        ({"inputs_embeds": torch.zeros(2, 4, 4).long()}, "inputs_embeds .* got torch.int64"),
        ({"inputs_embeds": torch.zeros(1, 7, 4)}, "have 7 tokens"),
        ({"attention_mask": torch.ones(2, 3)}, r"attention_mask must have shape \(2, 4\) .* got \(2, 3\)"),
        ({"attention_mask": torch.ones(2, 1, 1, 4)}, r"attention_mask .* got \(2, 1, 1, 4\)"),
        ({"attention_mask": [[1, 1, 1, 1]] * 2}, "attention_mask must be a tensor, got list"),
        ({"token_type_ids": torch.zeros(4).long()}, r"token_type_ids .*\(2, 4\) or \(1, 4\).* got \(4,\)"),
        ({"token_type_ids": torch.zeros(2, 4)}, "token_type_ids must hold whole numbers"),
        ({"token_type_ids": torch.full((2, 4), 3)}, r"token_type_ids must lie in \[0, type_vocab_size=3\), got 3"),
        ({"position_ids": torch.zeros(2, 5).long()}, r"position_ids .* got \(2, 5\)"),
        ({"position_ids": torch.full((1, 4), 6)}, r"position_ids must lie in \[0, max_position_embeddings=6\), got 6"),
        ({"position_ids": torch.full((1, 4), -1)}, "position_ids .* got -1"),
    ],
)
def test_bad_input(arguments, message):
    if arguments and not {"input_ids", "inputs_embeds"} & arguments.keys():
        arguments = {"input_ids": IDS, **arguments}
    with pytest.raises(ValueError, match=message):
        check(**arguments)


@pytest.mark.parametrize("words", [{"input_ids": IDS}, {"inputs_embeds": torch.zeros(2, 4, 4)}])
def test_what_is_left_out_is_completed(words):
    inputs = check(**words)
    assert inputs.attention_mask is None
    assert torch.equal(inputs.segment_ids, torch.zeros(2, 4, dtype=torch.long))
    assert torch.equal(inputs.position_ids, torch.arange(4).expand(2, 4))


def test_one_row_stands_for_all():
    row = torch.tensor([[2, 0, 1, 1]])
    inputs = check(input_ids=IDS.int(), token_type_ids=row, position_ids=row)
    assert torch.equal(inputs.segment_ids, row.expand(2, 4)) and torch.equal(inputs.position_ids, row.expand(2, 4))


def test_positions_of_one_s_own_may_repeat():
    assert check(input_ids=IDS.view(1, 8), position_ids=torch.arange(8)[None] % 6).position_ids.shape == (1, 8)
