"""What the explorer shows: the numbers of direct calls of the model, and the reference's attention."""

import json
import threading

import pytest
import torch
from reference import assert_near, model_pair, ours_of, reference_model

from minibert import BertTokenizer
from minibert.explorer.insight import SHOWN_DIMENSIONS, Explorer
from minibert.explorer.view import MOST_PIECES, View

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "down", "##s", "on", "mat", "."]
VIEW = View("the cats sat on the mat.", "the cat sat down.", masked=[2, 3], flipped=[1])
MASKS = [2, 3]


@pytest.fixture(scope="module")
def tokenizer() -> BertTokenizer:
    return BertTokenizer({word: i for i, word in enumerate(WORDS)})


@pytest.fixture(scope="module")
def model():
    return ours_of(reference_model("BertForPreTraining"))


@pytest.fixture(scope="module")
def explorer(model, tokenizer) -> Explorer:
    return Explorer(model, tokenizer, "toy")


def inputs_of(tokenizer: BertTokenizer) -> dict[str, torch.Tensor]:
    """What VIEW describes, made by hand."""
    encoded = tokenizer(VIEW.text, VIEW.pair, return_tensors="pt")
    encoded["input_ids"][0, MASKS] = tokenizer.mask_token_id
    encoded["token_type_ids"][0, 1] = 1
    return dict(encoded)


def near(found: list, expected: torch.Tensor, what: str = "") -> None:
    """Equal but for the rounding of the page."""
    assert_near(torch.tensor(found, dtype=expected.dtype), expected.detach(), 6e-5, what)


def test_pieces(explorer, tokenizer):
    pieces = explorer.look(VIEW)["pieces"]
    assert [p["piece"] for p in pieces][:6] == ["[CLS]", "the", "[MASK]", "[MASK]", "sat", "on"]
    assert [p["original"] for p in pieces][:4] == ["[CLS]", "the", "cat", "##s"]
    assert [p["word"] for p in pieces][:5] == [None, "0.0", "0.1", "0.1", "0.2"]
    assert [p["segment"] for p in pieces] == [0, 1] + [0] * 8 + [1] * 6
    assert [p["id"] for p in pieces] == inputs_of(tokenizer)["input_ids"][0].tolist()
    assert VIEW.text[slice(*pieces[3]["characters"])] == "s"


def test_embeddings(explorer, model, tokenizer):
    inputs, table, found = inputs_of(tokenizer), model.bert.embeddings, explorer.look(VIEW)["embeddings"]
    expected = {
        "word": table.word.weight[inputs["input_ids"][0]],
        "segment": table.segment.weight[inputs["token_type_ids"][0]],
        "position": table.position.weight[: inputs["input_ids"].shape[1]],
    }
    expected["sum"] = sum(expected.values())
    expected["normed"] = model(**inputs, output_hidden_states=True).hidden_states[0][0]
    assert found.keys() == expected.keys()
    for name, x in expected.items():
        near(found[name]["values"], x[:, :SHOWN_DIMENSIONS], name)
        near(found[name]["norms"], x.norm(dim=-1), name)


def test_attention_is_the_model_s_and_the_reference_s(tokenizer):
    theirs, ours = model_pair("BertForPreTraining")
    theirs.set_attn_implementation("eager")
    found, inputs = Explorer(ours, tokenizer, "toy").look(VIEW)["attentions"], inputs_of(tokenizer)
    for shown, here, there in zip(
        found, *(m(**inputs, output_attentions=True).attentions for m in (ours, theirs)), strict=True
    ):
        near(shown, here[0])
        near(shown, there[0])


def test_one_head_from_near(explorer, model, tokenizer):
    found, inputs = explorer.head(VIEW, 1, 2), inputs_of(tokenizer)
    outputs = model(**inputs, output_attentions=True, output_hidden_states=True)
    x, layer = outputs.hidden_states[1][0], model.bert.encoder.layer[1].attention
    mine = slice(16, 24)  # the third head of 4, each 8 wide
    for name in ("query", "key", "value"):
        near(found[name], getattr(layer, name)(x)[:, mine], name)
    near(torch.tensor(found["scores"]).softmax(dim=-1).tolist(), outputs.attentions[1][0, 2], "softmax of scores")
    near(found["weights"], outputs.attentions[1][0, 2])
    # What a query takes from all keys together is what the head adds to the output of attention.
    value = layer.value(x)[:, mine] @ layer.mix.weight[:, mine].T
    near(found["taken"], outputs.attentions[1][0, 2] * value.norm(dim=-1), "taken")


def test_the_answer_and_the_last_stage_of_the_lens_are_the_model_s(explorer, model, tokenizer):
    expected = model(**inputs_of(tokenizer)).prediction_logits[0].softmax(dim=-1).detach()
    for position in MASKS:
        found = explorer.look(View(**{**vars(VIEW), "position": position}))
        assert found["position"] == position
        for row in found["candidates"]:
            assert row["now"] == pytest.approx(float(expected[position, row["id"]]), abs=2e-6)
        best = found["candidates"][0]
        assert best["id"] == int(expected[position].argmax()) and best["rank"] == 1 and best["before"] is None
        assert found["lens"]["answer"] == best["piece"] and found["lens"]["stages"][-1]["answer"] == best["now"]
        (original,) = [row for row in found["candidates"] if row["is_original"]]
        assert original["piece"] == {2: "cat", 3: "##s"}[position]


def test_the_lens_reads_every_station_of_the_stream(explorer, model, tokenizer):
    inputs, stream = inputs_of(tokenizer), []
    states = model(**inputs, output_hidden_states=True).hidden_states
    for layer, x in zip(model.bert.encoder.layer, states, strict=False):
        packing = model.bert(**inputs).packing
        half = layer.attention_norm(x[0] + layer.attention(x[0], packing)[0])
        stream += [x[0], half]
    stream.append(states[-1][0])
    expected = [model.mlm_head(x[2]).softmax(dim=-1) for x in stream]
    stages = explorer.look(VIEW)["lens"]["stages"]
    assert [(s["layer"], s["part"]) for s in stages[:3]] == [
        (None, "embeddings"),
        (0, "attention"),
        (0, "feed_forward"),
    ]
    for number, (stage, prediction) in enumerate(zip(stages, expected, strict=True)):
        near([p for _, p in stage["best"]], prediction.topk(3).values)
        near(stage["answer"], prediction[expected[-1].argmax()])
        if number:
            near(stage["moved"], (prediction - expected[number - 1]).abs().sum() / 2)
    moved = [stage["moved"] for stage in stages[1:]]
    assert explorer.look(VIEW)["lens"]["moved_most"] == 1 + moved.index(max(moved))


def test_next_sentence(explorer, model, tokenizer):
    expected = model(**inputs_of(tokenizer)).seq_relationship_logits[0].softmax(dim=-1)
    near(explorer.look(VIEW)["next_sentence"], expected[0])


def test_a_head_that_is_off_is_one_whose_output_weights_are_zero(explorer, tokenizer):
    _, without = model_pair("BertForPreTraining")
    with torch.no_grad():
        without.bert.encoder.layer[1].attention.mix.weight[:, 8:16] = 0.0
    expected = Explorer(without, tokenizer, "toy").look(VIEW)
    found = explorer.look(View(**{**vars(VIEW), "heads_off": [(1, 1)]}))
    now, then = ({row["id"]: row["now"] for row in x["candidates"]} for x in (found, expected))
    for token in now.keys() & then.keys():
        assert now[token] == pytest.approx(then[token], abs=2e-6)
    assert found["next_sentence"] == pytest.approx(expected["next_sentence"], abs=2e-6)
    assert found["lens"]["stages"][1] == expected["lens"]["stages"][1]  # the layer below it is as it was


def test_a_layer_that_is_off_hands_on_what_came(explorer, model, tokenizer):
    found = explorer.look(View(**{**vars(VIEW), "layers_off": [1]}))
    state = model(**inputs_of(tokenizer), output_hidden_states=True).hidden_states[1][0, 2]
    expected = model.mlm_head(state).softmax(dim=-1)
    for row in found["candidates"]:
        near(row["now"], expected[row["id"]])
    assert [stage["moved"] for stage in found["lens"]["stages"][3:]] == [0.0, 0.0]


def test_a_change_is_compared_with_nothing_switched_off(explorer):
    plain, off = explorer.look(VIEW), explorer.look(View(**{**vars(VIEW), "heads_off": [(0, 0)]}))
    before = {row["id"]: row["before"] for row in off["candidates"]}
    assert all(before[row["id"]] == row["now"] for row in plain["candidates"])
    assert off["next_sentence_before"] == plain["next_sentence"] != off["next_sentence"]
    assert off["lens_before"] == plain["lens"] and off["is_compared"] and not plain["is_compared"]


def test_a_change_is_compared_with_another_text(explorer):
    other = View("the mat [MASK].")
    found, alone = explorer.look(VIEW, other), explorer.look(other)
    before = {row["id"]: row["before"] for row in found["candidates"]}
    assert all(before[row["id"]] == row["now"] for row in alone["candidates"])


def test_hooks_are_gone_and_the_model_was_never_touched(explorer, model, tokenizer):
    expected = model(**inputs_of(tokenizer)).prediction_logits
    explorer.look(View(**{**vars(VIEW), "heads_off": [(0, 0)], "layers_off": [1]}))
    assert torch.equal(explorer.model(**inputs_of(tokenizer)).prediction_logits, expected)
    for module in (*explorer.model.modules(), *model.modules()):
        assert not module._forward_hooks and not module._forward_pre_hooks
    ours = dict(explorer.model.named_parameters())
    assert all(ours[name] is parameter for name, parameter in model.named_parameters())  # no second copy in memory


def test_threads_do_not_see_each_other_s_switches(explorer):
    views = [VIEW, View(**{**vars(VIEW), "heads_off": [(0, 1)]}), View(**{**vars(VIEW), "layers_off": [0]})]
    expected, found = [explorer.look(view) for view in views], [[] for _ in views]

    def look_often(number: int) -> None:
        found[number] += [explorer.look(views[number]) for _ in range(10)]

    threads = [threading.Thread(target=look_often, args=(number,)) for number in range(len(views))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[x] * 10 for x in expected]


@pytest.mark.parametrize(
    "class_name, problem_type",
    [
        ("BertForTokenClassification", None),
        ("BertForSequenceClassification", None),
        ("BertForSequenceClassification", "multi_label_classification"),
        ("BertForSequenceClassification", "regression"),
    ],
)
def test_classes(class_name, problem_type, tokenizer):
    _, ours = model_pair(class_name, num_labels=3)
    ours.config.problem_type = problem_type
    explorer = Explorer(ours, tokenizer, "toy")
    logits = ours(**inputs_of(tokenizer)).logits[0]
    functions = {None: lambda x: x.softmax(dim=-1), "multi_label_classification": torch.sigmoid}
    near(explorer.look(VIEW)["classes"], functions.get(problem_type, lambda x: x)(logits))
    assert explorer.about()["labels"] == ["LABEL_0", "LABEL_1", "LABEL_2"]


@pytest.mark.parametrize("class_name", ["BertModel", "BertForQuestionAnswering", "BertForMultipleChoice"])
def test_a_model_without_a_head_that_is_shown(class_name, tokenizer):
    theirs, ours = model_pair(class_name)
    explorer = Explorer(ours, tokenizer, "toy")
    found = explorer.look(View("the cat sat.", masked=[2], heads_off=[(0, 0)]))
    assert not explorer.about()["fills_masks"] and found["candidates"] is found["lens"] is found["classes"] is None
    expected = ours.base_model(torch.tensor([[2, 5, 4, 7, 12, 3]]), output_attentions=True).attentions
    near(found["attentions"][0], expected[0][0])


def test_masked_lm(tokenizer):
    _, ours = model_pair("BertForMaskedLM")
    found = Explorer(ours, tokenizer, "toy").look(View("the [MASK] sat."))
    assert found["candidates"][0]["rank"] == 1 and found["next_sentence"] is None
    assert not any(row["is_original"] for row in found["candidates"])  # what stood there nobody knows


def test_nothing_masked(explorer):
    found = explorer.look(View("the cat sat."))
    assert found["position"] is found["candidates"] is found["lens"] is None


def test_it_is_json(explorer):
    for found in (explorer.look(VIEW), explorer.head(VIEW, 0, 0), explorer.about()):
        assert json.loads(json.dumps(found, allow_nan=False))


@pytest.mark.parametrize(
    "view, words",
    [
        (View(""), "expected at least one word"),
        (View("the " * 40), "at most 24 word pieces can be shown, these are 42"),
        (View("x" * 2000), "text: expected at most 1,000 characters, found 2,000"),
        (View("the", "x" * 2000), "pair: expected at most 1,000"),
        (View("the cat", masked=[4]), r"masked must lie in \[0, 4\), got 4"),
        (View("the cat", flipped=[-1]), r"flipped must lie in \[0, 4\), got -1"),
        (View("the cat", position=1), "position: expected that of a mask .there are none., got 1"),
        (View("the cat", position=9), r"position must lie in \[0, 4\)"),
        (View("the cat", layers_off=[2]), r"layers_off must lie in \[0, 2\), got 2"),
        (View("the cat", heads_off=[(0, 4)]), r"heads_off: head must lie in \[0, 4\), got 4"),
        (View("the cat", heads_off=[(2, 0)]), r"heads_off: layer must lie in \[0, 2\), got 2"),
    ],
)
def test_a_view_that_cannot_be(explorer, view, words):
    with pytest.raises(ValueError, match=words):
        explorer.look(view)


@pytest.mark.parametrize("layer, head", [(2, 0), (0, 4), (-1, 0)])
def test_a_head_that_is_not_there(explorer, layer, head):
    with pytest.raises(ValueError, match="must lie in"):
        explorer.head(VIEW, layer, head)


def test_one_segment(tokenizer):
    _, ours = model_pair("BertModel", type_vocab_size=1)
    with pytest.raises(ValueError, match="one segment only"):
        Explorer(ours, tokenizer, "toy").look(View("the cat", flipped=[1]))


def test_float32_alone(tokenizer):
    _, ours = model_pair("BertModel")
    with pytest.raises(ValueError, match="computes in float32, toy is in torch.bfloat16"):
        Explorer(ours.to(torch.bfloat16), tokenizer, "toy")


def test_twelve_layers_of_twelve_heads_at_full_length(tokenizer):
    changes = {"num_hidden_layers": 12, "num_attention_heads": 12, "hidden_size": 48, "max_position_embeddings": 512}
    explorer = Explorer(ours_of(reference_model("BertForMaskedLM", **changes)), tokenizer, "toy")
    found = explorer.look(View("the " * (MOST_PIECES - 2), masked=[5], heads_off=[(11, 11)]))
    assert torch.tensor(found["attentions"]).shape == (12, 12, MOST_PIECES, MOST_PIECES)
    assert len(found["lens"]["stages"]) == 25
    assert len(json.dumps(found)) < 8e6
    with pytest.raises(ValueError, match="at most 64 word pieces"):
        explorer.look(View("the " * (MOST_PIECES - 1)))
