"""What a model has made of its words and heads, against models of which it is known."""

import pytest
import torch

import minibert
from minibert.pretraining.initialization import POSITION_DIMS, look_at_neighbours
from minibert.pretraining.words_and_heads import LOOKS_AT, frequent_words, nearest_words, neighbour_attention
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "north", "south", "eastern", "##ern", "red", "."]


@pytest.fixture
def tokenizer():
    return BertTokenizer({token: i for i, token in enumerate(WORDS)})


def make(layers=1, hidden=128, heads=4):
    torch.manual_seed(0)
    config = minibert.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=8,
        max_position_embeddings=32,
        initializer_range=0.08,
    )
    return minibert.BertForPreTraining(config)


def test_frequent_words_are_whole_and_longer_than_a_few_letters(tokenizer):
    text = [["red red red red .", "south south north"], ["eastern southern north south ."]]
    corpus = PackedCorpus.from_documents(text, tokenizer)
    assert frequent_words(corpus, tokenizer) == ["south", "north", "eastern"]
    assert frequent_words(corpus, tokenizer, count=2) == ["south", "eastern"]


def test_nearest_words(tokenizer):
    model = make()
    words = model.get_input_embeddings().weight
    with torch.no_grad():
        words.zero_()
        for name, vector in {"north": (1, 0), "south": (9, 2), "red": (1, 1), "eastern": (-1, 0), ".": (1, 0)}.items():
            words[WORDS.index(name), :2] = torch.tensor(vector, dtype=torch.float)
    assert nearest_words(model, tokenizer, ["north"], 2) == {"north": ["south", "red"]}
    assert nearest_words(model, tokenizer, ["north"])["north"] == ["south", "red", "eastern"]


def test_heads_that_were_made_to_look_at_neighbours_do():
    model = make()
    look_at_neighbours(model)
    with torch.no_grad():
        model.get_input_embeddings().weight[:, :POSITION_DIMS] = 0  # as `initialise_from_corpus` has it
    left, right = neighbour_attention(model, [[2, 5, 6, 7, 9, 5, 6, 7, 3]] * 2)[0].T.tolist()
    assert left[0] > LOOKS_AT > max(right[0], left[1]) and right[1] > LOOKS_AT


def test_the_attention_is_that_of_the_model():
    model = make(layers=2).eval()
    ids = torch.tensor([[2, 5, 6, 7, 3]])
    expected = model(ids, output_attentions=True).attentions[1][0, 3]
    found = neighbour_attention(model, [ids[0].tolist(), [2, 3], [2, 5, 3]])
    assert found.shape == (2, 4, 2)
    torch.testing.assert_close(found[1, 3, 0], (expected[2, 1] + expected[3, 2]).detach() / 2)
    torch.testing.assert_close(found[1, 3, 1], (expected[1, 2] + expected[2, 3]).detach() / 2)
    with pytest.raises(ValueError, match="expected one with two tokens or more"):
        neighbour_attention(model, [[2, 5, 3]])
