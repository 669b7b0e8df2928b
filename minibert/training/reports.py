"""What can be read of a trainer afterwards: numbers in files and on the screen, and the model."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_model

from minibert.checkpoint.files import read_json, write_text, written_whole
from minibert.training.arguments import TrainingArguments
from minibert.training.callbacks import TrainerState
from minibert.training.distributed import Processes


class Reports:
    """The part of a `Trainer` that writes what it knows; of several processes, the first one does."""

    args: TrainingArguments
    model: Any  # a module; what else it can do is asked for
    processes: Processes
    processing_class: Any
    state: TrainerState

    def is_world_process_zero(self) -> bool:
        """Whether this is the process that writes and talks."""
        return self.processes.is_first

    is_local_process_zero = is_world_process_zero

    def log_metrics(self, split: str, metrics: dict[str, Any]) -> None:
        """Print metrics, one a line, under the name of what they were measured on."""
        if self.processes.is_first:
            print(f"***** {split} metrics *****")
            shown = {n: f"{x:.4f}" if isinstance(x, float) else str(x) for n, x in sorted(metrics.items())}
            width, digits = max(map(len, shown), default=0), max(map(len, shown.values()), default=0)
            for name, number in shown.items():
                print(f"  {name:<{width}} = {number:>{digits}}")

    def save_metrics(self, split: str, metrics: dict[str, Any], combined: bool = True) -> None:
        """Write metrics to `<split>_results.json` in `output_dir`, and add them to `all_results.json`."""
        if self.processes.is_first:
            every = self.args.output_dir / "all_results.json"
            known = read_json(every) if every.is_file() else {}
            files = {f"{split}_results.json": metrics} | ({every.name: known | metrics} if combined else {})
            for name, content in files.items():
                text = json.dumps(content, indent=4, sort_keys=True)
                write_text(self.args.output_dir / name, text)

    def save_state(self) -> None:
        """Write `state` to `trainer_state.json` in `output_dir`."""
        if self.processes.is_first:
            self.state.save_to_json(self.args.output_dir / "trainer_state.json")

    def save_model(self, output_dir: str | Path | None = None) -> None:
        """Write the model, and the tokenizer if there is one, to `output_dir` (default: that of the run)."""
        folder = Path(output_dir or self.args.output_dir)
        if self.processes.is_first:
            for part in (self.model, self.processing_class):
                if hasattr(part, "save_pretrained"):
                    part.save_pretrained(folder)
            if not hasattr(self.model, "save_pretrained"):
                folder.mkdir(parents=True, exist_ok=True)
                with written_whole(folder / "model.safetensors") as temporary:
                    save_model(self.model, str(temporary))
        self.processes.wait()
