"""Print the words that a BERT would put in place of [MASK]."""

import argparse

from minibert import pipeline


def main(options: argparse.Namespace) -> None:
    # In fp32, so that every machine prints the same.
    found = pipeline("fill-mask", options.model, precision="fp32")(options.text, top_k=options.top_k)
    masks = found if isinstance(found[0], list) else [found]
    for number, candidates in enumerate(masks, start=1):
        print(f"mask {number}")
        for candidate in candidates:
            print(f"  {candidate['score']:6.1%}  {candidate['token_str']}")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", help='for example "The [MASK] statement raises an exception."')
    parser.add_argument("--model", default="minibert-english", help="a folder or a hub name (%(default)s)")
    parser.add_argument("--top-k", type=int, default=5, help="candidates per mask (%(default)s)")
