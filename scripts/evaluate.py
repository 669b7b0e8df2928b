"""Score a pretrained checkpoint: on text that it has not seen, and on minimal pairs.

Text: the loss and the accuracy of masked language modelling and the accuracy of next sentence prediction, on the same
pairs and masks at every run; and the pseudo-perplexity of some sentences, every token of which is hidden alone.
Minimal pairs: how often the right one of two sentences is the likelier one (chance: 50%).
"""

import argparse
import logging
import tempfile
from pathlib import Path

from minibert import BertForPreTraining, BertTokenizer
from minibert.checkpoint.files import CheckpointError
from minibert.commands.run import run
from minibert.inference.minimal_pairs import MinimalPair, minimal_pair_accuracy, read_minimal_pairs
from minibert.inference.pseudo_likelihood import pseudo_perplexity
from minibert.pretraining.evaluation import evaluate_pretraining, spread_sentences
from minibert.pretraining.job import PretrainingOptions
from minibert.pretraining.preparation import prepare, say_held_out, say_pairs, say_tokens
from minibert.pretraining.presets import Preset
from minibert.report import counted, say
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.packed import PackedCorpus

SCORED_SENTENCES = 500  # by pseudo-perplexity, which takes a forward pass for every token


def main() -> None:
    options = parse()
    model, tokenizer, has_nsp_head = load(options.model)
    paradigms = read_minimal_pairs(options.minimal_pairs or [], options.limit)
    if options.corpus or not paradigms:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            corpus, _ = prepare(options.corpus, tokenizer, len(tokenizer), Path(folder) / "corpus")
            if options.corpus is None:
                whole = corpus
                _, corpus = whole.split()  # what scripts/pretrain.py holds out
                say_held_out(whole, corpus)
            say_tokens(corpus, tokenizer)
            score_text(model, tokenizer, has_nsp_head, corpus)
    if paradigms:
        score_pairs(model, tokenizer, paradigms)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="NAME", help="a folder or a hub name")
    parser.add_argument(
        "--corpus",
        nargs="+",
        metavar="PATH",
        help="text files or folders that it was not trained on (default, without --minimal-pairs: the documents that"
        " scripts/pretrain.py holds out of Python's documentation)",
    )
    parser.add_argument(
        "--minimal-pairs", nargs="+", metavar="PATH", help="BLiMP's JSON lines: files, or folders of .jsonl"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="use the first N pairs of each paradigm")
    return parser.parse_args()


def load(name: str) -> tuple[BertForPreTraining, BertTokenizer, bool]:
    """The checkpoint, its tokenizer, and whether it comes with a trained NSP head."""
    logging.getLogger("minibert").setLevel(logging.ERROR)  # what is missing is told apart here
    tokenizer = BertTokenizer.from_pretrained(name)
    model, info = BertForPreTraining.from_pretrained(name, output_loading_info=True)
    missing = info["missing_keys"]
    if absent := [key for key in missing if not key.startswith(("bert.pooler.", "cls.seq_relationship."))]:
        raise CheckpointError(f"{name}: only masked language models can be scored; the checkpoint lacks {absent[0]}")
    if len(tokenizer) > model.config.vocab_size:
        raise CheckpointError(
            f"{name}: the tokenizer has {len(tokenizer):,} word pieces, the model {model.config.vocab_size:,};"
            " put the tokenizer there that the model was trained with"
        )
    return model, tokenizer, not missing


def score_text(model: BertForPreTraining, tokenizer: BertTokenizer, has_nsp_head: bool, corpus: PackedCorpus) -> None:
    """Print how well the model fills masks and tells sentences apart, and the pseudo-perplexity."""
    max_length = min(Preset.max_length, model.config.max_position_embeddings)
    dataset = PretrainingDataset(corpus, tokenizer, max_length, PretrainingOptions.seed)
    say_pairs(dataset)
    metrics = evaluate_pretraining(model, dataset, PretrainingCollator(tokenizer.pad_token_id))
    pairs = f"{len(dataset):,} pairs of up to {max_length} tokens"
    say("MLM", f"loss {metrics['mlm_loss']:.3f}, accuracy {metrics['mlm_accuracy']:.1%}: 15% of {pairs} masked")
    nsp = f"accuracy {metrics['nsp_accuracy']:.1%}" if has_nsp_head else "the checkpoint has no such head"
    say("NSP", nsp)
    sentences = spread_sentences(corpus, tokenizer, SCORED_SENTENCES, max_length)
    tokens = sum(len(sentence) - 2 for sentence in sentences)
    perplexity = pseudo_perplexity(model, tokenizer, sentences)
    say("perplexity", f"{perplexity:,.1f}: {tokens:,} tokens of {len(sentences):,} sentences, each hidden alone")


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


if __name__ == "__main__":
    run(main)
