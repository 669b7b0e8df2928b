"""Score a pretrained checkpoint: on text that it has not seen, and on minimal pairs.

Text: the loss and the accuracy of masked language modelling and the accuracy of next sentence prediction, on the same
pairs and masks at every run; and the pseudo-perplexity of some sentences, every token of which is hidden alone.
Minimal pairs: how often the right one of two sentences is the likelier one (chance: 50%).
"""

import argparse
import tempfile
from pathlib import Path

from minibert import BertForPreTraining, BertTokenizer
from minibert.inference.minimal_pairs import MinimalPair, minimal_pair_accuracy, read_minimal_pairs
from minibert.pretraining.evaluation import load_with_mlm_head, score_text
from minibert.pretraining.job import PretrainingOptions
from minibert.pretraining.preparation import prepare, say_held_out, say_tokens
from minibert.report import counted


def main(options: argparse.Namespace) -> None:
    if options.blimp_pairs is not None and not options.blimp:
        raise ValueError("--blimp-pairs limits what --blimp reads: give both, or neither")
    model, tokenizer, has_nsp_head = load_with_mlm_head(options.model)
    paradigms = read_minimal_pairs(options.blimp or [], options.blimp_pairs)
    if options.corpus or not paradigms:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            corpus, _ = prepare(options.corpus, tokenizer, len(tokenizer), Path(folder) / "corpus")
            if options.corpus is None:
                whole = corpus
                _, corpus = whole.split()  # what `minibert pretrain` holds out
                say_held_out(whole, corpus)
            say_tokens(corpus, tokenizer, options.model)
            score_text(model, tokenizer, has_nsp_head, corpus, PretrainingOptions.seed)
    if paradigms:
        score_pairs(model, tokenizer, paradigms)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="NAME", help="a folder or a hub name")
    parser.add_argument(
        "--corpus",
        nargs="+",
        metavar="PATH",
        help="text files or folders that it was not trained on (default, without --blimp: the documents that"
        " `minibert pretrain` holds out of Python's documentation)",
    )
    parser.add_argument(
        "--blimp",
        nargs="+",
        metavar="PATH",
        help="minimal pairs, as in BLiMP: files of JSON lines, or folders of .jsonl, one of them a paradigm",
    )
    parser.add_argument("--blimp-pairs", type=int, metavar="N", help="use the first N of each paradigm (default: all)")


def score_pairs(model: BertForPreTraining, tokenizer: BertTokenizer, paradigms: dict[str, list[MinimalPair]]) -> None:
    """Print the accuracy on each paradigm, and the mean of them."""
    accuracy = minimal_pair_accuracy(model, tokenizer, paradigms)
    mean = f"mean of {counted(len(paradigms), 'paradigm')}"
    width = max(map(len, [*paradigms, mean]))
    print(f"{'paradigm':{width}}   pairs  accuracy")
    for name, pairs in paradigms.items():
        print(f"{name:{width}}  {len(pairs):6,}  {accuracy[name]:8.1%}")
    total = sum(map(len, paradigms.values()))
    print(f"{mean:{width}}  {total:6,}  {sum(accuracy.values()) / len(accuracy):8.1%}")
