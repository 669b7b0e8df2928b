"""Our models in other people's loops: `transformers.Trainer`, accelerate, and a `SentenceTransformer`."""

import numpy as np
import pytest
import torch
import transformers
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from reference import assert_near, model_pair, no_dropout
from reference_tokenizer import vocab_path
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from torch.utils.data import DataLoader

from minibert import (
    BertForMaskedLM,
    BertForSequenceClassification,
    BertTokenizer,
    DataCollatorForLanguageModeling,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)


def examples(size=12):
    """Texts of ids with a class, and what tables hold besides."""
    generator = torch.Generator().manual_seed(4)
    lengths = torch.randint(2, 12, (size,), generator=generator).tolist()
    ids = [torch.randint(5, 97, (length,), generator=generator).tolist() for length in lengths]
    return [{"input_ids": row, "label": i % 3, "idx": i, "text": f"text {i}"} for i, row in enumerate(ids)]


def trainer_in(folder, model, collator=None, data=None, **changes):
    numbers = {"per_device_train_batch_size": 4, "max_steps": 5, "learning_rate": 1e-3, "save_steps": 3}
    quiet = {"report_to": "none", "disable_tqdm": True, "use_cpu": True}
    args = transformers.TrainingArguments(str(folder), **(numbers | quiet | changes))
    trainer = transformers.Trainer(
        model, args, collator or DataCollatorWithPadding(), train_dataset=data or examples(), eval_dataset=examples(7)
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


@pytest.mark.parametrize("accumulation", [1, 2])
def test_in_their_trainer_it_learns_what_theirs_learns(tmp_path, accumulation):
    """It finds out by itself which columns our models take.

    Of a model whose forward takes any argument, as their own, it believes that it divides by the number of all labels
    of a step: its loss is logged too large where there are several batches in one.
    """
    measured = []
    pair = model_pair("BertForSequenceClassification", num_labels=3, **no_dropout())
    for name, model in zip(("theirs", "ours"), pair, strict=True):
        trainer = trainer_in(tmp_path / name, model.float(), gradient_accumulation_steps=accumulation)
        trainer.train()
        prediction = trainer.predict(examples(5))
        losses = [trainer.evaluate()["eval_loss"]]
        if accumulation == 1:
            losses.append(trainer.state.log_history[-2]["train_loss"])
        measured.append((losses, torch.from_numpy(prediction.predictions), prediction.label_ids.tolist()))
    (their_losses, theirs, their_labels), (our_losses, ours, our_labels) = measured
    assert our_losses == pytest.approx(their_losses, rel=1e-4)
    assert_near(ours, theirs, 1e-4, "predictions")
    assert our_labels == their_labels


def test_their_model_in_our_trainer(tmp_path):
    """Its forward takes any argument, but it, too, is given no more than those that have a name."""
    ends = []
    for model in model_pair("BertForSequenceClassification", num_labels=3, **no_dropout()):
        args = TrainingArguments(
            tmp_path, per_device_train_batch_size=4, max_steps=5, learning_rate=1e-3, save_strategy="no",
            disable_tqdm=True, report_to="none",
        )  # fmt: skip
        trainer = Trainer(model.float(), args, train_dataset=examples(), eval_dataset=examples(7))
        trainer.train()
        ends.append((trainer.evaluate()["eval_loss"], torch.from_numpy(trainer.predict(examples(5)).predictions)))
    assert ends[1][0] == pytest.approx(ends[0][0], rel=1e-4)
    assert_near(ends[1][1], ends[0][1], 1e-4, "predictions")


def test_its_checkpoints_hold_the_weights(tmp_path):
    """And nothing else: what is no `PreTrainedModel` of theirs it saves without a config."""
    theirs, model = model_pair("BertForSequenceClassification", num_labels=3, **no_dropout())
    trainer_in(tmp_path, model.float()).train()
    theirs.load_state_dict(load_file(tmp_path / "checkpoint-5" / "model.safetensors"))
    loaded = BertForSequenceClassification.from_pretrained(tmp_path / "checkpoint-5", config=model.config)
    # Several rows: where weights begin at another address, AVX2 rounds a product of one row differently.
    ids = torch.arange(5, 17).view(4, 3)
    with torch.no_grad():
        expected = model.eval()(ids).logits
        assert torch.equal(loaded(ids).logits, expected)
        assert_near(theirs.float().eval()(ids).logits, expected, 1e-5, "logits")


def test_a_run_of_theirs_goes_on(tmp_path):
    ends = []
    for resume in (None, tmp_path / "0" / "checkpoint-3"):
        torch.manual_seed(1)
        _, model = model_pair("BertForSequenceClassification", num_labels=3, **no_dropout())
        trainer = trainer_in(tmp_path / str(len(ends)), model.float())
        trainer.train(resume_from_checkpoint=resume and str(resume))
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert_near(ends[1], ends[0], 1e-6, "weights")


def test_hidden_words_in_their_trainer(tmp_path):
    """It cannot save what it does not know as tied, so the model saves itself."""
    tokenizer = BertTokenizer(vocab_path("uncased"))
    _, model = model_pair("BertForMaskedLM", vocab_size=len(tokenizer))
    data = [dict(tokenizer(text)) for text in ("The quick brown fox jumps.", "They were there.") * 4]
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.5)
    trainer = trainer_in(tmp_path, model.float(), collator, data, save_strategy="no")
    output = trainer.train()
    assert 0 < output.training_loss < 20
    model.save_pretrained(tmp_path / "saved")
    assert torch.equal(
        BertForMaskedLM.from_pretrained(tmp_path / "saved").cls.predictions.bias, model.cls.predictions.bias
    )


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_in_accelerate_outputs_are_float32(precision):
    AcceleratorState._reset_state(reset_partial_state=True)  # of the test before
    losses = []
    for model in model_pair("BertForSequenceClassification", num_labels=3, **no_dropout()):
        accelerator = Accelerator(mixed_precision=precision, cpu=True)
        optimizer = torch.optim.AdamW(model.float().train().parameters(), lr=1e-3)
        bare = [{name: row[name] for name in ("input_ids", "label")} for row in examples()]
        loader = DataLoader(bare, batch_size=4, collate_fn=DataCollatorWithPadding())
        model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
        for batch in loader:
            outputs = model(**batch)
            assert outputs.loss.dtype == outputs["logits"].dtype == outputs[1].dtype == torch.float32
            accelerator.backward(outputs.loss)
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(outputs.loss.item())
        logits = accelerator.gather_for_metrics(outputs.logits)
        assert logits.shape == (4, 3)
    assert losses[3:] == pytest.approx(losses[:3], rel=1e-4 if precision == "no" else 0.03)


def test_accelerate_saves_what_loads(tmp_path):
    _, model = model_pair("BertForMaskedLM")
    accelerator = Accelerator(cpu=True)
    prepared = accelerator.prepare(model)
    accelerator.unwrap_model(prepared).save_pretrained(tmp_path / "pretrained")
    accelerator.save_model(prepared, tmp_path / "saved")
    names = load_file(tmp_path / "saved" / "model.safetensors").keys()
    assert names <= {name for name, _ in transformers.BertForMaskedLM(transformers.BertConfig()).state_dict().items()}
    assert BertForMaskedLM.from_pretrained(tmp_path / "pretrained").num_parameters() == model.num_parameters()


@pytest.fixture
def sentences(tmp_path):
    """A folder with an encoder and its tokenizer, and the SentenceTransformer that theirs makes of it."""
    tokenizer = BertTokenizer(vocab_path("uncased"), model_max_length=32)
    theirs, ours = model_pair("BertModel", vocab_size=len(tokenizer), max_position_embeddings=32, **no_dropout())
    theirs.float().save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    transformer = Transformer(str(tmp_path / "encoder"))
    return SentenceTransformer(modules=[transformer, Pooling(transformer.get_embedding_dimension())]), ours.float()


TEXTS = ["The quick brown fox.", "They were there; then they went to the theatre.", "Café", ""]


def test_in_a_sentence_transformer(sentences):
    vectorizer, ours = sentences
    expected = vectorizer.encode(TEXTS)
    assert type(vectorizer[0].model).__module__.startswith("transformers")
    vectorizer[0].model = ours
    assert np.abs(vectorizer.encode(TEXTS) - expected).max() < 1e-5
    assert np.abs(vectorizer.encode(TEXTS[::-1], batch_size=2)[::-1] - expected).max() < 1e-5


def test_a_sentence_transformer_with_our_encoder_is_saved(sentences, tmp_path):
    vectorizer, ours = sentences
    expected = vectorizer.encode(TEXTS)
    vectorizer[0].model = ours
    vectorizer.save(str(tmp_path / "saved"))
    assert np.abs(SentenceTransformer(str(tmp_path / "saved")).encode(TEXTS) - expected).max() < 1e-5
