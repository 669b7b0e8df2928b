"""Measure minibert beside the reference, `transformers`, in one process, on the same weights and batches."""

import argparse
import importlib.util

from minibert.commands.run import run

COMPETITORS = (
    "transformers",
    "accelerate",
    "sentence_transformers",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "openvino",
    "ctranslate2",
)


def main() -> None:
    missing = [name for name in COMPETITORS if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"{', '.join(missing)} not installed, to compare with: pip install -e '.[bench]'")
    from benchmarks import finetuning, inference, race, serve, training

    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    training.add_command(what)
    finetuning.add_command(what)
    inference.add_command(what)
    serve.add_command(what)
    race.add_command(what)
    options = parser.parse_args()
    options.measure(options)


if __name__ == "__main__":
    run(main)
