"""Ways to make a vector of each text, all from the same checkpoint: what `benchmark.py inference` lets compete."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import ctranslate2
import numpy
import openvino
import sentence_transformers
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor

import minibert
from minibert.inference.export import OnnxModel, export_onnx, quantize_int8

Encoder = Callable[[Sequence[str]], Tensor]  # N texts -> (N, D)
Engine = Callable[..., SimpleNamespace]  # a batch -> `last_hidden_state`

BATCH = 32  # texts, for those who batch by number
REFERENCE = "transformers, sorted"


def encoders(model: Path, device: str) -> dict[str, Encoder]:
    """Every contestant by its name, ready to run; on a GPU those who can use it."""
    found: dict[str, Encoder] = {}
    for precision in ("fp32", "auto") if device == "cuda" else ("fp32", "auto", "int8"):
        embedder = minibert.pipeline("sentence-similarity", model, precision=precision, device=device)
        dtype = embedder.layers_dtype or embedder.model.dtype
        found[f"minibert {precision}" + (f" ({_short(dtype)})" if precision == "auto" else "")] = embedder.embed
    found[REFERENCE] = ReferenceEncoder(model, device)
    if device == "cuda":
        return found | {"transformers bf16, sorted": ReferenceEncoder(model, device, torch.bfloat16)}
    sentences = sentence_transformers.SentenceTransformer(str(model), device=device)
    found["transformers, as they come"] = ReferenceEncoder(model, device, is_sorted=False)
    found["sentence-transformers"] = lambda texts: sentences.encode(
        list(texts), batch_size=BATCH, convert_to_tensor=True, show_progress_bar=False
    )
    for name, run in engines(model).items():
        found[f"{name}, sorted"] = ReferenceEncoder(model, device, run=run)
    return found


class ReferenceEncoder:
    """The reference's tokenizer and padded batches, sorted by length or not, around a model."""

    def __init__(
        self,
        model: Path,
        device: str,
        dtype: torch.dtype = torch.float32,
        is_sorted: bool = True,
        run: Engine | None = None,
    ) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        self.run = run or transformers.AutoModel.from_pretrained(model, dtype=dtype).to(device).eval()
        self.device = device
        self.is_sorted = is_sorted

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        order = list(range(len(texts)))
        if self.is_sorted:
            order.sort(key=lambda i: -len(texts[i]))
        vectors: list[Tensor] = [torch.empty(0)] * len(texts)
        for chosen in (order[start : start + BATCH] for start in range(0, len(order), BATCH)):
            inputs = self.tokenizer([texts[i] for i in chosen], padding=True, return_tensors="pt").to(self.device)
            hidden, mask = self.run(**inputs).last_hidden_state.float(), inputs["attention_mask"][:, :, None]
            means = (hidden * mask).sum(1) / mask.sum(1)  # (B, D)
            for i, vector in zip(chosen, F.normalize(means, dim=1).cpu(), strict=True):
                vectors[i] = vector
        return torch.stack(vectors)


def engines(model: Path) -> dict[str, Engine]:
    """The checkpoint in runtimes that compile it for the processor, each as fast as it can and in fp32."""
    with tempfile.TemporaryDirectory() as folder:
        fp32, int8, converted = (Path(folder) / name for name in ("model.onnx", "model.int8.onnx", "ctranslate2"))
        export_onnx(minibert.BertModel.from_pretrained(model), fp32)
        quantize_int8(fp32, int8)
        ctranslate2.converters.TransformersConverter(str(model)).convert(str(converted))
        builders: dict[str, Callable[[], Engine]] = {
            "onnxruntime fp32": lambda: OnnxModel(fp32),
            "onnxruntime int8": lambda: OnnxModel(int8),
            "openvino fp32": lambda: OpenVinoModel(fp32, "f32"),
            "openvino auto": lambda: OpenVinoModel(fp32),
            "ctranslate2 fp32": lambda: CTranslate2Model(converted, "float32"),
            "ctranslate2 int8": lambda: CTranslate2Model(converted, "int8_float32"),
        }
        found: dict[str, Engine] = {}
        for name, build in builders.items():
            try:
                found[name] = build()
            except RuntimeError as error:
                print(f"{name} is left out: {str(error).strip().splitlines()[-1]}")
        return found


class OpenVinoModel:
    """An exported file in OpenVINO: in the number format it likes best on this processor, unless it is told one."""

    def __init__(self, path: Path, precision: str | None = None) -> None:
        hints = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
        hints |= {"INFERENCE_PRECISION_HINT": precision} if precision else {}
        self.model = openvino.Core().compile_model(path, "CPU", hints)

    def __call__(self, **batch: Tensor) -> SimpleNamespace:
        outputs = self.model({name.any_name: batch[name.any_name].numpy() for name in self.model.inputs})
        return SimpleNamespace(last_hidden_state=torch.from_numpy(outputs["last_hidden_state"]))


class CTranslate2Model:
    """The encoder of a converted checkpoint in CTranslate2, which leaves padding out by itself."""

    def __init__(self, folder: Path, compute_type: str) -> None:
        threads = torch.get_num_threads()
        self.encoder = ctranslate2.Encoder(str(folder), compute_type=compute_type, intra_threads=threads)

    def __call__(self, input_ids: Tensor, attention_mask: Tensor, **_: Tensor) -> SimpleNamespace:
        rows = zip(input_ids.tolist(), attention_mask.sum(1).tolist(), strict=True)
        output = self.encoder.forward_batch([ids[:length] for ids, length in rows])
        return SimpleNamespace(last_hidden_state=torch.from_numpy(numpy.array(output.last_hidden_state)))


def _short(dtype: torch.dtype) -> str:
    return {torch.float32: "fp32", torch.bfloat16: "bf16"}[dtype]
