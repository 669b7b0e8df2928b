"""`model.compile()`: every layer one program, whatever the lengths in a batch, and the same numbers."""

import copy
import pickle

import pytest
import torch
from reference import ATTENTIONS, assert_near, gradient_difference, our_model
from torch import nn
from torch._dynamo.backends.debugging import aot_eager
from torch.utils.data import Dataset

import minibert
from minibert.training.arguments import TrainingArguments
from minibert.training.trainer import Trainer


class Counting:
    """A backend that only counts its programs, and leaves the rest to PyTorch's own for tests."""

    def __init__(self) -> None:
        self.programs = 0

    def __call__(self, graph, inputs):
        program = aot_eager(graph, inputs)  # gives up, to be asked once more, on floats that turn out to be constants
        self.programs += 1
        return program


@pytest.fixture
def backend() -> Counting:
    torch._dynamo.reset()
    return Counting()


def compiled(model: nn.Module, backend) -> nn.Module:
    copied = copy.deepcopy(model)
    copied.compile(backend=backend)
    return copied


def ragged_batch(rows: int, columns: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    mask = torch.rand(rows, columns, generator=generator) < 0.7
    mask[:, 0], mask[0, 1] = True, False
    ids = torch.randint(97, (rows, columns), generator=generator)
    hidden = torch.rand(rows, columns, generator=generator) < 0.4
    return {"input_ids": ids, "attention_mask": mask.long(), "labels": ids.masked_fill(~hidden, -100)}


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_one_program_for_all_layers_and_ragged_batches(attention, backend):
    plain = our_model("BertForMaskedLM", num_hidden_layers=9, attn_implementation=attention)  # PyTorch gives up after 8
    model = compiled(plain, backend)
    for shape in [(4, 11), (7, 9), (2, 24), (9, 2), (5, 17)]:
        batch = ragged_batch(*shape) | {"labelled_logits_only": True}
        found, expected = model(**batch), plain(**batch)
        assert_near(found.logits, expected.logits, 1e-5)
        found.loss.backward(), expected.loss.backward()
        assert gradient_difference(model, plain) < 1e-5
    assert backend.programs == 1


def test_a_few_more_for_full_batches_and_without_gradients(backend):
    model = compiled(our_model("BertModel"), backend)
    for rows in (3, 4, 5):
        batch = ragged_batch(rows, 10)
        model(batch["input_ids"])
        with torch.no_grad():
            model(batch["input_ids"], batch["attention_mask"])
            model(batch["input_ids"], torch.ones(rows, 10))
    assert backend.programs == 3


def test_dropout_and_bfloat16(backend):
    model = compiled(our_model("BertForMaskedLM", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1), backend)
    model.train()
    for shape in [(4, 11), (7, 9), (40, 20)]:
        with torch.autocast("cpu", torch.bfloat16):
            model(**ragged_batch(*shape)).loss.backward()
    assert backend.programs == 1


def test_a_whole_model_without_a_break(backend):
    """As `torch.compile(model)` has it; where labels are, only the batch says."""
    plain = our_model("BertForPreTraining")
    batch = ragged_batch(4, 11) | {"next_sentence_label": torch.tensor([0, 1, 1, 0]), "labelled_logits_only": True}
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        found = torch.compile(plain, backend=backend, fullgraph=True)(**batch)
        assert_near(found.prediction_logits, plain(**batch).prediction_logits, 1e-5)
        assert_near(found.loss, plain(**batch).loss, 1e-5)
    assert backend.programs == 1


class Texts(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, number):
        return {"input_ids": [*range(1, 4 + number % 9)], "label": number % 2}


@pytest.mark.parametrize("make", ["model", "model_init"])
def test_the_trainer_compiles(make, backend, tmp_path):
    args = TrainingArguments(
        tmp_path, torch_compile_backend=backend, max_steps=6, save_strategy="no", report_to="none", disable_tqdm=True
    )
    assert args.torch_compile
    model = our_model("BertForSequenceClassification")
    trainer = Trainer(args=args, train_dataset=Texts(), **{make: model if make == "model" else lambda: model})
    trainer.train()
    trainer.evaluate(Texts())
    assert backend.programs in (2, 3, 4)  # of ragged batches, and of full ones, in training and evaluation


def test_it_stays_the_same_model(backend, tmp_path):
    plain = our_model("BertForMaskedLM")
    model = compiled(plain, backend)
    assert [*model.state_dict()] == [*plain.state_dict()]
    model.save_pretrained(tmp_path)
    again = minibert.BertForMaskedLM.from_pretrained(tmp_path)
    batch = ragged_batch(4, 11)
    expected = plain(**batch).logits
    for other in (again, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(**batch).logits, expected)  # not compiled, and the layout is not that of one that is
    assert backend.programs == 0
