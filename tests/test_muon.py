"""Muon: the direction of a step, the groups it leaves to AdamW, and going on after a checkpoint."""

import copy

import pytest
import torch
from torch import nn

from minibert.model.config import BertConfig
from minibert.model.tasks import BertForPreTraining
from minibert.training.muon import UPDATE_SIZE, Muon, orthogonalised
from minibert.training.optimization import build_optimizer

BETAS, EPSILON = (0.9, 0.98), 1e-8


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows, columns", [(24, 24), (16, 48), (48, 16)])
def test_all_directions_are_about_as_long(rows, columns, dtype):
    matrices = torch.randn(3, rows, columns, generator=torch.Generator().manual_seed(0))
    matrices[:, :2] *= 5  # some directions dominate
    before = torch.linalg.svdvals(matrices / matrices.norm(dim=(1, 2), keepdim=True))
    after = torch.linalg.svdvals(orthogonalised(matrices.to(dtype)).float())
    is_small = before < 0.01  # what begins as small as this has not arrived after five iterations
    assert is_small.sum() < 8 and before[~is_small].max() > 5 * before[~is_small].min()
    assert after[~is_small].min() > 0.6 and after.max() < 1.3


def test_the_direction_is_that_of_the_singular_vectors():
    matrices = torch.randn(2, 8, 20, generator=torch.Generator().manual_seed(1))
    u, _, vt = torch.linalg.svd(matrices, full_matrices=False)
    cosine = nn.functional.cosine_similarity(orthogonalised(matrices).flatten(1), (u @ vt).flatten(1))
    assert cosine.min() > 0.98


def test_as_pytorch_s_own():
    """`torch.optim.Muon` computes in bfloat16 always: so near is near enough."""
    generator = torch.Generator().manual_seed(2)
    start = torch.randn(12, 30, generator=generator)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    group = {"params": [ours], "hidden_matrices": True, "weight_decay": 0.1}
    # Theirs has the factor 0.2 of the paper, and decays by the rate before that factor.
    scale = UPDATE_SIZE / 0.2
    optimizers = [
        Muon([group], lr=0.01, betas=BETAS, eps=EPSILON),
        torch.optim.Muon([theirs], lr=0.01 * scale, weight_decay=0.1 / scale, adjust_lr_fn="match_rms_adamw"),
    ]
    for _ in range(6):
        gradient = torch.randn(12, 30, generator=generator)
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.03 * moved


def small_model() -> BertForPreTraining:
    torch.manual_seed(0)
    return BertForPreTraining(BertConfig(vocab_size=50, hidden_size=16, num_attention_heads=2, num_hidden_layers=2))


def built(model: nn.Module, optim: str) -> torch.optim.Optimizer:
    return build_optimizer(model.named_parameters(), 1e-3, 0.01, BETAS, EPSILON, optim=optim)


def give_gradients(model: nn.Module, seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)


def test_all_but_the_matrices_of_the_layers_is_adamw_s():
    models = small_model(), small_model()
    optimizers = built(models[0], "muon"), built(models[1], "adamw_torch")
    for seed in range(3):
        for model, optimizer in zip(models, optimizers, strict=True):
            give_gradients(model, seed)
            optimizer.step()
    ours, adamw = (dict(model.named_parameters()) for model in models)
    for name, parameter in ours.items():
        is_hidden = ".layer." in name and parameter.ndim == 2
        assert torch.equal(parameter, adamw[name]) != is_hidden, name


def test_gradients_are_still_there_after_a_step():
    """`on_optimizer_step` may look at them."""
    model = small_model()
    give_gradients(model, 0)
    built(model, "muon").step()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_closure_computes_the_gradients_of_the_step():
    with_closure, before = small_model(), small_model()
    ours, expected = built(with_closure, "muon"), built(before, "muon")
    losses = []
    for seed in range(2):

        def closure():
            ours.zero_grad()
            torch.manual_seed(seed)  # noqa: B023
            loss = sum((torch.randn_like(p) * p).sum() for p in with_closure.parameters())
            loss.backward()  # which needs what `step` otherwise does without
            losses.append(loss)
            return loss

        give_gradients(with_closure, 7)  # old ones, which must not count
        assert ours.step(closure) is losses[-1]
        give_gradients(before, seed)
        expected.step()
    assert len(losses) == 2
    pairs = zip(with_closure.parameters(), before.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_frozen_layer_stays():
    model = small_model()
    for parameter in model.bert.encoder.layer[0].parameters():
        parameter.requires_grad_(False)
    before = {name: p.clone() for name, p in model.bert.encoder.layer[0].named_parameters()}
    optimizer = built(model, "muon")
    give_gradients(model, 0)
    optimizer.step()
    after = dict(model.bert.encoder.layer[0].named_parameters())
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_goes_on_from_its_state():
    straight, resumed = small_model(), small_model()
    optimizer = built(straight, "muon")
    give_gradients(straight, 0)
    optimizer.step()
    resumed.load_state_dict(straight.state_dict())
    other = built(resumed, "muon")
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for model, its in ((straight, optimizer), (resumed, other)):
        give_gradients(model, 1)
        its.step()
    pairs = zip(straight.parameters(), resumed.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_a_model_without_layers_is_refused():
    with pytest.raises(ValueError, match="optim='muon' is for matrices of encoder layers"):
        built(nn.Linear(4, 4), "muon")
