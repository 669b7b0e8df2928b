"""BERT itself: a book, to be read in this order:

`embeddings`, `attention`, `encoder`, `bert`, `heads`, `losses`, `tasks`. You need nothing else to understand the model;
read the rest afterwards.

How it is made robust: `config` (every number that defines a BERT), `inputs` (what a batch must look like), `outputs`,
`pretrained` (the base class) with `weights` (loading and saving), `skeleton` and `changes`. How it is made fast:
`packing` (no work is done on padding) and `precision`. And last, for code that was written for `transformers`:
`reference_names` and `auto`.

The dimension letters of every shape comment in this package:

    B  sequences in a batch              H  attention heads
    S  positions of the padded batch     K  head size, D / H
    T  real tokens in a batch            F  feed-forward size
    D  hidden size                       V  vocabulary size
    L  encoder layers                    C  classes

"The reference" is Hugging Face's `transformers`, with which every number is compared. Where sequences of equal
length are gathered, n is that length. Where rows may be anything (tokens, labels, texts),
there are N of them.
"""
