"""Score a pretrained checkpoint: on text that it has not seen, and on minimal pairs.

Text: the loss and the accuracy of masked language modelling and the accuracy of next sentence prediction, on the same
pairs and masks at every run; and the pseudo-perplexity of some sentences, every token of which is hidden alone.
Minimal pairs: how often the right one of two sentences is the likelier one (chance: 50%).
Several processes of `torchrun` share the work, and print the result once.
"""

import argparse
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

from minibert import BertForPreTraining, BertTokenizer
from minibert.inference.minimal_pairs import MinimalPair, minimal_pair_accuracy, read_minimal_pairs
from minibert.pretraining.evaluation import load_with_mlm_head, score_text, shared_log_likelihoods
from minibert.pretraining.options import PretrainingOptions
from minibert.pretraining.page import check_page, write_page
from minibert.pretraining.preparation import prepared_once, say_held_out, say_tokens
from minibert.report import counted, say, warn_of_unknown
from minibert.text.packed import PackedCorpus
from minibert.training.distributed import Processes


def main(options: argparse.Namespace) -> None:
    if options.blimp_pairs is not None and not options.blimp:
        raise ValueError("--blimp-pairs limits what --blimp reads: give both, or neither")
    if options.report:
        check_page(options.report, options.model)
    model, tokenizer, has_nsp_head = load_with_mlm_head(options.model)
    paradigms = read_minimal_pairs(options.blimp or [], options.blimp_pairs)
    model.to(Processes.join().device)
    scores: list[tuple[str, str]] = []
    with ExitStack() as until_the_end:
        if options.corpus or not paradigms:
            once = prepared_once(options.corpus, tokenizer, len(tokenizer))
            corpus = scored_part(until_the_end.enter_context(once)[0], options, tokenizer)
            text = ", ".join(options.corpus or ["what `minibert pretrain` holds out of Python's documentation"])
            scores.append(("text", f"{text}: {counted(corpus.n_tokens, 'token')}"))
            scores += score_text(model, tokenizer, has_nsp_head, corpus, PretrainingOptions.seed)
        elif options.report:  # it takes its examples from somewhere
            good = [[pair.good for pair in pairs] for pairs in paradigms.values()]
            corpus = PackedCorpus.from_documents(good, tokenizer)
        if paradigms:
            scores += score_pairs(model, tokenizer, paradigms)
        if options.report and Processes.join().is_first:
            write_page(options.report, options.model, model, tokenizer, corpus, scores, PretrainingOptions.seed)
            say("written", str(options.report))


def scored_part(corpus: PackedCorpus, options: argparse.Namespace, tokenizer: BertTokenizer) -> PackedCorpus:
    """All of the user's own text, or what `minibert pretrain` holds out of the documentation; says what it is."""
    if options.corpus is None:
        whole = corpus
        _, corpus = whole.split()
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


def check_pairs(model: BertForPreTraining, tokenizer: BertTokenizer, paradigms: dict[str, list[MinimalPair]]) -> None:
    """Warn of pairs that the vocabulary does not know; raise `ValueError` naming one that the model cannot read."""
    most, tokens, unknown = model.config.max_position_embeddings, 0, 0
    for name, pairs in paradigms.items():
        sentences = list(chain.from_iterable(pairs))
        for sentence, ids in zip(sentences, tokenizer(sentences)["input_ids"], strict=True):
            if len(ids) > most:
                raise ValueError(
                    f"--blimp: {name}: a sentence has {len(ids):,} tokens, but the model reads at most {most:,};"
                    f" leave this pair out: {sentence[:60]}"
                )
            tokens += len(ids) - 2
            unknown += ids.count(tokenizer.unk_token_id)
    warn_of_unknown(unknown / max(1, tokens))


def score_pairs(
    model: BertForPreTraining, tokenizer: BertTokenizer, paradigms: dict[str, list[MinimalPair]]
) -> list[tuple[str, str]]:
    """Print, and return, the accuracy on each paradigm, and the mean of them."""
    check_pairs(model, tokenizer, paradigms)
    accuracy = minimal_pair_accuracy(model, tokenizer, paradigms, shared_log_likelihoods)
    if not Processes.join().is_first:
        return []
    mean = f"mean of {counted(len(paradigms), 'paradigm')}"
    counts = {name: len(pairs) for name, pairs in paradigms.items()} | {mean: sum(map(len, paradigms.values()))}
    shares = accuracy | {mean: sum(accuracy.values()) / len(accuracy)}
    width = max(map(len, counts))
    print(f"{'paradigm':{width}}   pairs  accuracy")
    for name, count in counts.items():
        print(f"{name:{width}}  {count:6,}  {shares[name]:8.1%}")
    return [(f"minimal pairs: {name}", f"{share:.1%} of {counts[name]:,} right") for name, share in shares.items()]
