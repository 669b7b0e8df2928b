"""Print what a BERT would put in the place of [MASK]."""

import argparse

from minibert import BertConfig, BertForMaskedLM, BertForPreTraining
from minibert.cli import run
from minibert.inference.fill_mask import fill_mask
from minibert.text.tokenizer import BertTokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", help='for example "The [MASK] statement raises an exception."')
    parser.add_argument("--model", default="minibert-tiny", metavar="NAME", help="a folder or a hub name (%(default)s)")
    parser.add_argument("--top-k", type=int, default=5, help="candidates per mask (%(default)s)")
    args = parser.parse_args()
    tokenizer = BertTokenizer.from_pretrained(args.model)
    # A pretraining checkpoint has a second head; to leave it out would be worth a warning.
    config = BertConfig.from_pretrained(args.model)
    model_class = BertForPreTraining if "BertForPreTraining" in (config.architectures or ()) else BertForMaskedLM
    model = model_class.from_pretrained(args.model)
    for number, candidates in enumerate(fill_mask(model, tokenizer, args.text, args.top_k), start=1):
        print(f"mask {number}")
        for candidate in candidates:
            print(f"  {candidate.probability:6.1%}  {candidate.token}")


if __name__ == "__main__":
    run(main)
