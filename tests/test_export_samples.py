"""Sentences on which an exported file is compared with its model: hidden words are hidden, and count alone."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from checkpoints import CLASSES
from pipeline_runs import our_tokenizer
from reference import ours_of, reference_model

import minibert
from minibert.inference.export import agreement
from minibert.inference.export_samples import SAMPLES, sample_batches
from minibert.inference.sentence_modules import SentenceModules


def model_of(class_name):
    return ours_of(reference_model(class_name, num_hidden_layers=1))


def first_batches(model, count=20, **options):
    return list(itertools.islice(sample_batches(model, our_tokenizer(**options)), count))


@pytest.mark.parametrize("class_name", CLASSES)
def test_every_model_gets_what_it_reads(class_name):
    model = model_of(class_name)
    for batch in first_batches(model, model_max_length=9):
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
        model(**inputs)
        assert inputs["input_ids"].shape[-1] <= 9 and inputs["input_ids"].ndim == (3 if "Choice" in class_name else 2)
        pairs = class_name.endswith(("NextSentencePrediction", "QuestionAnswering", "MultipleChoice"))
        assert bool(inputs["token_type_ids"].any()) == pairs
        per_token = class_name in ("BertForMaskedLM", "BertForPreTraining", "BertForTokenClassification")
        assert ("scored" in batch) == per_token
    assert len(list(sample_batches(model, our_tokenizer()))) == SAMPLES


@pytest.mark.parametrize("class_name", ["BertForMaskedLM", "BertForPreTraining"])
def test_words_are_hidden(class_name):
    tokenizer = our_tokenizer()
    (again, found) = (first_batches(model_of(class_name), SAMPLES) for _ in range(2))
    for batch, same in zip(found, again, strict=True):
        ids, scored = batch["input_ids"], batch["scored"]
        assert torch.equal(ids == tokenizer.mask_token_id, scored) and torch.equal(ids, same["input_ids"])
        assert not scored[0, [0, -1]].any()
        assert scored.sum() == max(1, round(0.15 * (ids.shape[1] - 2)))


def test_tags_count_at_the_first_token_of_each_word():
    for batch in first_batches(model_of("BertForTokenClassification")):
        pieces = our_tokenizer().convert_ids_to_tokens(batch["input_ids"][0].tolist())
        expected = [not piece.startswith(("##", "[CLS]", "[SEP]")) for piece in pieces]
        assert batch["scored"][0].tolist() == expected


@pytest.mark.parametrize("class_name", ["BertForMaskedLM", "BertForPreTraining", "BertForTokenClassification"])
def test_only_what_is_scored_counts(class_name):
    """A file that is right at the scored tokens alone agrees in everything, and one that is wrong there in nothing."""
    model = model_of(class_name)
    batches = first_batches(model)
    numbers = {id(batch["input_ids"]): batch["scored"] for batch in batches}

    def file(is_right_there):
        def run(**inputs):
            scored = numbers[id(inputs["input_ids"])]
            outputs = {name: value.clone() for name, value in model(**inputs).items()}
            for name in outputs:
                wrong = ~scored if is_right_there else scored
                if outputs[name].ndim == 3:
                    outputs[name] = torch.where(wrong[..., None], -outputs[name], outputs[name])
                else:
                    outputs[name] = -outputs[name]
            return SimpleNamespace(**outputs)

        return run

    assert agreement(model, file(True), batches) == 1
    assert agreement(model, file(False), batches) == 0


def test_several_labels_are_compared_one_by_one():
    model = ours_of(reference_model("BertForSequenceClassification", num_labels=3))
    model.config.problem_type = "multi_label_classification"
    batches = first_batches(model)

    def file(**inputs):
        logits = model(**inputs).logits
        return SimpleNamespace(logits=logits * torch.tensor([1.0, 0.5, -1.0]))

    assert agreement(model, file, batches) == pytest.approx(2 / 3)


@pytest.mark.parametrize("pooling", ["cls", "lasttoken"])
def test_vectors_are_those_of_the_checkpoint(pooling):
    model = minibert.BertModel.from_pretrained("minibert-tiny", add_pooling_layer=False)
    tokenizer = minibert.BertTokenizer.from_pretrained("minibert-tiny")
    batches = list(itertools.islice(sample_batches(model, tokenizer), 5))

    def file(**inputs):
        states = model(**inputs).last_hidden_state.clone()
        states[:, 1:-1] = 0
        return SimpleNamespace(last_hidden_state=states)

    with torch.no_grad():
        assert agreement(model, file, batches, SentenceModules(pooling=(pooling,))) == pytest.approx(1, abs=1e-5)
        assert agreement(model, file, batches) < 0.99
