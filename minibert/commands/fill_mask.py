"""Print what a BERT would put in the place of [MASK]."""

import argparse

from minibert import pipeline
from minibert.commands.run import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", help='for example "The [MASK] statement raises an exception."')
    parser.add_argument("--model", default="minibert-tiny", metavar="NAME", help="a folder or a hub name (%(default)s)")
    parser.add_argument("--top-k", type=int, default=5, help="candidates per mask (%(default)s)")
    args = parser.parse_args()
    # In fp32, so that every machine prints the same.
    found = pipeline("fill-mask", args.model, precision="fp32")(args.text, top_k=args.top_k)
    masks = found if isinstance(found[0], list) else [found]
    for number, candidates in enumerate(masks, start=1):
        print(f"mask {number}")
        for candidate in candidates:
            print(f"  {candidate['score']:6.1%}  {candidate['token_str']}")


if __name__ == "__main__":
    run(main)
