"""ONNX: a model as a file that runs without PyTorch, its int8 form, and the proof that it computes the same."""

import contextlib
import logging
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.checkpoint.files import written_whole
from minibert.inference.sentence_modules import SentenceModules
from minibert.model.bert import BertModel
from minibert.model.pretrained import BertPreTrainedModel
from minibert.model.tasks import BertForMultipleChoice

INPUTS = ("input_ids", "attention_mask", "token_type_ids")

# The largest difference to our fp32 outputs with which a file passes: other kernels sum in another order.
TOLERANCE = 1e-4


class ExportError(ValueError):
    """An export that cannot be done, or whose result is not what the model computes."""


def export_onnx(model: BertPreTrainedModel, path: str | Path) -> float:
    """Write `model`, in fp32 and on the CPU, to `path`; the file gets its name when it has passed `largest_difference`.

    The file takes `INPUTS`, int64, of any (B, S), for multiple choice (B, choices, S), and gives the outputs of the
    model by their names. Padding is masked, and may stand anywhere.
    Returns: the largest difference to the model's own outputs.
    Raises: `ExportError` if that is above `TOLERANCE`, or if onnx, onnxscript or onnxruntime is missing.
    """
    check_libraries()
    model.eval()
    inputs = example_batch(model, (2, 7))
    names = list(_run(model, inputs))
    axes = ("batch", "choices", "sequence") if inputs["input_ids"].ndim == 3 else ("batch", "sequence")
    with written_whole(Path(path)) as temporary:
        with _quiet():
            torch.onnx.export(
                _Tuple(model).eval(),
                kwargs=inputs,
                f=temporary,
                dynamo=True,
                dynamic_shapes={name: dict(enumerate(axes)) for name in inputs},
                input_names=list(INPUTS),
                output_names=names,
                external_data=False,  # one file, up to the 2 GB that the format allows
                verbose=False,
            )
        difference = largest_difference(model, OnnxModel(temporary))
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{path}: not written, because what onnxruntime makes of it differs from the model's outputs by"
                f" {difference:.2g}; expected at most {TOLERANCE:g}. Please report it, with the versions of both"
            )
    return difference


def quantize_int8(source: str | Path, path: str | Path) -> None:
    """Write the ONNX file `source` to `path` with int8 weights, a quarter of the size.

    Activations are scaled to int8 as they come (dynamic quantisation): no calibration, some loss of precision.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with written_whole(Path(path)) as temporary, _quiet():
        # A scale for each output channel: one for a whole matrix would be coarse where its rows differ in size.
        quantize_dynamic(source, temporary, weight_type=QuantType.QInt8, per_channel=True)


class OnnxModel:
    """An exported file, called like the model that it was made of: tensors in, outputs by their names."""

    def __init__(self, path: str | Path) -> None:
        check_libraries()
        import onnxruntime

        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.names = [output.name for output in self.session.get_outputs()]

    def __call__(self, **batch: Tensor) -> SimpleNamespace:
        """Takes a batch of `INPUTS`; passes over what else is in it, labels for example."""
        arrays = {name: batch[name].numpy().astype(np.int64) for name in INPUTS}
        outputs = map(torch.from_numpy, self.session.run(None, arrays))
        return SimpleNamespace(**dict(zip(self.names, outputs, strict=True)))

    def eval(self) -> None:
        """There is no other mode; for code that sees to it."""


def largest_difference(model: BertPreTrainedModel, exported: OnnxModel, seed: int = 0) -> float:
    """Of any output, on random batches of several shapes: one token, the longest sequence, and padding."""
    longest = model.config.max_position_embeddings
    largest = 0.0
    for shape in ((1, 1), (1, longest), (3, min(longest, 20)), (5, min(longest, 13))):
        inputs = example_batch(model, shape, seed)
        found, expected = vars(exported(**inputs)), _run(model, inputs)
        largest = max([largest, *(_difference(found[name], expected[name]) for name in expected)])
    return largest


@torch.inference_mode()
def agreement(
    model: BertPreTrainedModel,
    exported: OnnxModel,
    batches: Iterable[dict[str, Tensor]],
    modules: SentenceModules | None = None,
) -> float:
    """How far the file gives the answers of the model, from 0 to 1, on batches of `INPUTS` without padding.

    For `BertModel` the lowest cosine of both vectors of a sequence, made as `modules` say; for a single number per
    sequence the correlation of both; else the share of equal answers: of the most probable class, word, start or end,
    and of each class where several can hold. A batch that has `scored` (B, S) counts only there.
    """
    pairs: list[tuple[Tensor, Tensor]] = []
    modules = modules or SentenceModules()
    for batch in batches:
        inputs, scored = {name: batch[name] for name in INPUTS}, batch.get("scored")
        ours, theirs = _run(model, inputs), vars(exported(**inputs))
        if isinstance(model, BertModel):
            states = (outputs["last_hidden_state"] for outputs in (theirs, ours))
            found, expected = (modules.finish(modules.pool(x, inputs["attention_mask"])) for x in states)
            pairs.append((found, expected))
        elif scored is None:
            pairs += [(theirs[name], ours[name]) for name in ours]
        else:
            name = "prediction_logits" if "prediction_logits" in ours else "logits"
            pairs.append((theirs[name][scored], ours[name][scored]))
    return _agreement(model, pairs)


def _agreement(model: BertPreTrainedModel, pairs: list[tuple[Tensor, Tensor]]) -> float:
    """Of pairs of outputs, (..., C) each."""
    if isinstance(model, BertModel):
        return float(torch.cat([F.cosine_similarity(x, y) for x, y in pairs]).min())
    if model.config.num_labels == 1 and pairs[0][0].shape[1:] == (1,):
        return float(
            torch.corrcoef(torch.stack([torch.cat(outputs)[:, 0] for outputs in zip(*pairs, strict=True)]))[0, 1]
        )
    if model.config.problem_type == "multi_label_classification":
        return float(torch.cat([((x > 0) == (y > 0)).flatten() for x, y in pairs]).float().mean())
    return float(torch.cat([(x.argmax(-1) == y.argmax(-1)).flatten() for x, y in pairs]).float().mean())


def example_batch(model: BertPreTrainedModel, shape: tuple[int, int], seed: int = 0) -> dict[str, Tensor]:
    """Random `INPUTS` of (B, S), or (B, 2, S) for multiple choice; the last sequence is half padding."""
    config, generator = model.config, torch.Generator().manual_seed(seed)
    batch, length = shape
    sizes = (batch, 2, length) if isinstance(model, BertForMultipleChoice) else shape
    mask = torch.ones(sizes, dtype=torch.long)
    if batch > 1:
        mask[-1, ..., length - length // 2 :] = 0
    return {
        "input_ids": torch.randint(config.vocab_size, sizes, generator=generator),
        "attention_mask": mask,
        "token_type_ids": torch.randint(config.type_vocab_size, sizes, generator=generator),
    }


class _Tuple(nn.Module):
    """A model whose outputs are a plain tuple, which is all that a graph can give."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, ...]:
        return self.model(input_ids, attention_mask, token_type_ids).to_tuple()


@torch.inference_mode()
def _run(model: BertPreTrainedModel, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    outputs = model(return_dict=True, **inputs)
    return {name: outputs[name] for name in outputs.keys()}  # noqa: SIM118 (it has keys(), and is no dict)


def _difference(found: Tensor, expected: Tensor) -> float:
    if found.shape != expected.shape:
        raise ExportError(f"expected an output of shape {tuple(expected.shape)}, got {tuple(found.shape)}")
    return float((found - expected).abs().max())


def check_libraries() -> None:
    """Raise `ExportError` if a library of the extra `export` is missing."""
    import importlib.util

    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"{', '.join(missing)} not installed: pip install 'minibert[export]'")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notices about its own insides from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "root")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
