"""Ways to make a vector of each text, all from the same checkpoint: what `benchmark.py inference` lets compete."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import sentence_transformers
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor

import minibert
from minibert.inference.export import OnnxModel, export_onnx, quantize_int8

Encoder = Callable[[Sequence[str]], Tensor]  # N texts -> (N, D)

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
    onnx, int8 = onnx_models(model)
    return found | {
        "transformers, as they come": ReferenceEncoder(model, device, is_sorted=False),
        "sentence-transformers": lambda texts: sentences.encode(
            list(texts), batch_size=BATCH, convert_to_tensor=True, show_progress_bar=False
        ),
        "onnxruntime fp32, sorted": ReferenceEncoder(model, device, run=onnx),
        "onnxruntime int8, sorted": ReferenceEncoder(model, device, run=int8),
    }


class ReferenceEncoder:
    """The reference's tokenizer and padded batches, sorted by length or not, around a model."""

    def __init__(
        self,
        model: Path,
        device: str,
        dtype: torch.dtype = torch.float32,
        is_sorted: bool = True,
        run: OnnxModel | None = None,
    ) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        self.model = run or transformers.AutoModel.from_pretrained(model, dtype=dtype).to(device).eval()
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
            hidden, mask = self.model(**inputs).last_hidden_state.float(), inputs["attention_mask"][:, :, None]
            means = (hidden * mask).sum(1) / mask.sum(1)  # (B, D)
            for i, vector in zip(chosen, F.normalize(means, dim=1).cpu(), strict=True):
                vectors[i] = vector
        return torch.stack(vectors)


def onnx_models(model: Path) -> tuple[OnnxModel, OnnxModel]:
    """The checkpoint in onnxruntime, in fp32 and with int8 weights."""
    with tempfile.TemporaryDirectory() as folder:
        fp32, int8 = Path(folder) / "model.onnx", Path(folder) / "model.int8.onnx"
        export_onnx(minibert.BertModel.from_pretrained(model), fp32)
        quantize_int8(fp32, int8)
        return OnnxModel(fp32), OnnxModel(int8)


def _short(dtype: torch.dtype) -> str:
    return {torch.float32: "fp32", torch.bfloat16: "bf16"}[dtype]
