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
from minibert.pretraining.options import PretrainingOptions
from minibert.pretraining.page import check_suffix, write_page
from minibert.pretraining.preparation import prepare, say_held_out, say_tokens
from minibert.report import counted, say
from minibert.text.packed import PackedCorpus


def main(options: argparse.Namespace) -> None:
    if options.blimp_pairs is not None and not options.blimp:
        raise ValueError("--blimp-pairs limits what --blimp reads: give both, or neither")
    if options.report:
        check_suffix(options.report)
    model, tokenizer, has_nsp_head = load_with_mlm_head(options.model)
    paradigms = read_minimal_pairs(options.blimp or [], options.blimp_pairs)
    scores: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if options.corpus or not paradigms:
            corpus = open_corpus(options, tokenizer, Path(folder) / "corpus")
            scores += score_text(model, tokenizer, has_nsp_head, corpus, PretrainingOptions.seed)
        elif options.report:  # it takes its examples from somewhere
            good = [[pair.good for pair in pairs] for pairs in paradigms.values()]
            corpus = PackedCorpus.from_documents(good, tokenizer)
        if paradigms:
            scores += score_pairs(model, tokenizer, paradigms)
        if options.report:
            write_page(options.report, options.model, model, tokenizer, corpus, scores, PretrainingOptions.seed)
            say("written", str(options.report))


def open_corpus(options: argparse.Namespace, tokenizer: BertTokenizer, folder: Path) -> PackedCorpus:
    """The text to score on, with a report of what it is."""
    corpus, _ = prepare(options.corpus, tokenizer, len(tokenizer), folder)
    if options.corpus is None:
        whole = corpus
        _, corpus = whole.split()  # what `minibert pretrain` holds out
        say_held_out(whole, corpus)
    say_tokens(corpus, tokenizer, options.model)
    return corpus


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
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="write a page, .html or .md: loss curves, scores, filled masks, neighbours of words, heads",
    )


def score_pairs(
    model: BertForPreTraining, tokenizer: BertTokenizer, paradigms: dict[str, list[MinimalPair]]
) -> list[tuple[str, str]]:
    """Print, and return, the accuracy on each paradigm, and the mean of them."""
    accuracy = minimal_pair_accuracy(model, tokenizer, paradigms)
    mean = f"mean of {counted(len(paradigms), 'paradigm')}"
    counts = {name: len(pairs) for name, pairs in paradigms.items()} | {mean: sum(map(len, paradigms.values()))}
    shares = accuracy | {mean: sum(accuracy.values()) / len(accuracy)}
    width = max(map(len, counts))
    print(f"{'paradigm':{width}}   pairs  accuracy")
    for name, count in counts.items():
        print(f"{name:{width}}  {count:6,}  {shares[name]:8.1%}")
    return [(f"minimal pairs: {name}", f"{share:.1%} of {counts[name]:,} right") for name, share in shares.items()]
