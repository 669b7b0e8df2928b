"""Folders of sentence-transformers: what cannot be obeyed is refused, with the file and the key."""

import json

import pytest
import torch
from sentence_folders import older_folder, write

from minibert import pipeline
from minibert.checkpoint.files import CheckpointError, write_tensors
from minibert.checkpoint.opened import Checkpoint
from minibert.inference.sentence_folder import read_sentence_modules

ST = "sentence_transformers.models."
TWO = [{"type": f"{ST}Transformer", "path": "0_Transformer"}, {"type": f"{ST}Pooling", "path": "1_Pooling"}]


def refused(folder):
    with pytest.raises(CheckpointError) as error:
        read_sentence_modules(Checkpoint.open(folder))
    with pytest.raises(CheckpointError):
        pipeline("feature-extraction", folder)
    assert str(folder) in str(error.value)
    return str(error.value).removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([], "expected a Transformer and a Pooling first, found nothing"),
        (TWO[:1], "expected a Transformer and a Pooling first, found Transformer"),
        (TWO[::-1], "expected a Transformer and a Pooling first, found Pooling, Transformer"),
        ([*TWO, {"type": f"{ST}LSTM", "path": "2"}], "LSTM after the Pooling is not supported"),
        ([*TWO, {"type": f"{ST}Pooling", "path": "2"}], "Pooling after the Pooling is not supported"),
        (
            [{"type": "custom_st.Transformer", "path": ""}, TWO[1]],
            "the module custom_st.Transformer has code of its own",
        ),
        ([TWO[0] | {"path": "../elsewhere"}, TWO[1]], "path '../elsewhere' must be a folder inside this one"),
        ([TWO[0], TWO[1] | {"path": "a/../../b"}], "path 'a/../../b' must be a folder inside this one"),
        ([TWO[0], TWO[1] | {"path": "/etc"}], "path '/etc' must be a folder inside this one"),
        ([TWO[0], TWO[1] | {"path": "..\\b"}], "must be a folder inside this one"),
        ([TWO[0], TWO[1] | {"path": "C:b"}], "must be a folder inside this one"),
        ([TWO[0], {"type": f"{ST}Pooling"}], "expected a list of modules, each with type and path, found {'type'"),
        ({"modules": 1}, "expected a list of modules, each with type and path, found {'modules'"),
        ("Transformer", "expected a list of modules, each with type and path, found 'Transformer'"),
    ],
)
def test_modules(tmp_path, modules, message):
    older_folder(tmp_path)
    write(tmp_path / "modules.json", modules)
    found = refused(tmp_path)
    assert found.startswith("modules.json: ") and message in found


def test_modules_that_are_no_json(tmp_path):
    older_folder(tmp_path)
    (tmp_path / "modules.json").write_text("[")
    assert "modules.json: expected a JSON file" in refused(tmp_path)


READING, POOLING = "0_Transformer/sentence_bert_config.json", "1_Pooling/config.json"
COMPARING = "config_sentence_transformers.json"


@pytest.mark.parametrize(
    ("file", "settings", "message"),
    [
        (READING, {"max_seq_length": 2}, "max_seq_length must leave room for a token, found 2"),
        (READING, {"max_seq_length": "12"}, "max_seq_length: expected int, found '12'"),
        (READING, {"transformer_task": "fill-mask"}, "transformer_task 'fill-mask' is not supported"),
        (READING, {"module_output_name": "x"}, "module_output_name 'x' is not supported, only 'token_embeddings'"),
        (READING, {"query_length": 9}, "query_length 9 is not supported"),
        (READING, {"something_new": [1]}, r"something_new [1] is not supported"),
        (
            POOLING,
            {"word_embedding_dimension": 768},
            "word_embedding_dimension is 768, but the model's hidden_size is 32",
        ),
        (POOLING, {"pooling_mode": "median"}, "pooling_mode 'median' is none of cls, max, mean"),
        (POOLING, {"pooling_mode_attention": True}, "pooling_mode_attention True is not supported"),
        (POOLING, {"pooling_mode_cls_token": "yes"}, "pooling_mode_cls_token: expected bool, found 'yes'"),
        (COMPARING, {"similarity_fn_name": "jaccard"}, "similarity_fn_name 'jaccard' is none of cosine, dot"),
        (COMPARING, {"default_prompt_name": "query"}, "default_prompt_name 'query' is none of the prompts {}"),
        (COMPARING, {"model_type": "CrossEncoder"}, "model_type 'CrossEncoder' is not supported"),
    ],
)
def test_settings(tmp_path, file, settings, message):
    found = refused(older_folder(tmp_path, **{file: settings}))
    assert found.startswith(f"{file}: ") and message in found


def test_a_prompt_that_is_not_pooled(tmp_path):
    prompt = {COMPARING: {"prompts": {"q": "query: "}, "default_prompt_name": "q"}}
    found = refused(older_folder(tmp_path, **prompt, **{POOLING: {"include_prompt": False}}))
    assert found == f"{POOLING}: include_prompt false is not supported with the prompt 'query: '"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation_function": "os.system"}, "activation_function 'os.system' is none of Identity, Tanh"),
        ({"activation_function": "torch.nn.Bilinear"}, "activation_function 'torch.nn.Bilinear' is none of"),
        ({"module_input_name": "token_embeddings"}, "module_input_name 'token_embeddings' is not supported"),
        ({"use_residual": True}, "use_residual True is not supported"),
        ({"in_features": 31}, "in_features must be 32, the size of what comes before, found 31"),
        ({"out_features": 6}, "expected the tensors {'linear.weight': (6, 32)"),
        ({"bias": False}, "expected the tensors {'linear.weight': (5, 32)}, found"),
    ],
)
def test_dense(tmp_path, settings, message):
    older_folder(tmp_path)
    write(tmp_path / "modules.json", [*TWO, {"type": f"{ST}Dense", "path": "2_Dense"}])
    write_tensors(
        tmp_path / "2_Dense" / "model.safetensors", {"linear.weight": torch.ones(5, 32), "linear.bias": torch.ones(5)}
    )
    write(tmp_path / "2_Dense" / "config.json", {"in_features": 32, "out_features": 5} | settings)
    found = refused(tmp_path)
    assert found.startswith("2_Dense/config.json: ") and message in found


def test_what_changes_nothing(tmp_path):
    """What stands for no, and what other versions write beside it."""
    folder = older_folder(
        tmp_path,
        **{
            READING: {"query_length": None, "model_args": {}, "unpad_inputs": True},
            POOLING: {"pooling_mode_lasttoken": False, "include_prompt": True},
            COMPARING: {"prompts": {}, "default_prompt_name": None, "requirements": ["transformers>=4"]},
        },
    )
    found = read_sentence_modules(Checkpoint.open(folder))
    assert (found.pooling, found.max_length, found.folder) == (("cls",), 12, "0_Transformer")
    pooling = json.loads((folder / POOLING).read_text())
    write(folder / POOLING, pooling | {"pooling_mode_cls_token": False})
    assert read_sentence_modules(Checkpoint.open(folder)).pooling == ("mean",), "as the library does"
