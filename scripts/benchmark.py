"""Measure minibert beside the reference, `transformers`, in one process, on the same weights and batches."""

import argparse
import importlib.util

from minibert.cli import run


def main() -> None:
    if importlib.util.find_spec("transformers") is None:
        raise ValueError("the reference, transformers, is not installed: pip install -e '.[bench]'")
    from benchmarks import training

    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    training.add_command(what)
    options = parser.parse_args()
    options.measure(options)


if __name__ == "__main__":
    run(main)
