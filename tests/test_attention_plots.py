"""Attention pictures: the weights are where they belong, with tokens beside them, and grey print keeps their order."""

import matplotlib
import matplotlib.image
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from pipeline_runs import our_tokenizer
from reference import our_model

from minibert.inference import plots
from minibert.inference.plots import plot_head, plot_layer, plot_model

TOKENS = ["[CLS]", "a", "##b", "$5", "[SEP]"]


def attentions(layers=2, heads=3, length=5):
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(1, heads, length, length, generator=generator).softmax(-1) for _ in range(layers))


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k)))
    return figures


def maps(figure):
    return [axes for axes in figure.axes if axes.images]


def test_one_head(tmp_path, drawn):
    weights = attentions()
    plot_head(weights, TOKENS, 1, 2, tmp_path / "pictures" / "head.png")
    (axes,) = maps(drawn[0])
    np.testing.assert_allclose(axes.images[0].get_array(), weights[1][0, 2])
    assert [label.get_text().replace("\\", "") for label in axes.get_yticklabels()] == TOKENS
    assert [label.get_text().replace("\\", "") for label in axes.get_xticklabels()] == TOKENS
    assert axes.get_xlabel() and axes.get_ylabel() and "layer 1, head 2" in axes.get_title()
    assert matplotlib.image.imread(tmp_path / "pictures" / "head.png").ndim == 3
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["head.png"]


def test_a_layer_has_a_panel_for_each_head_on_one_scale(tmp_path, drawn):
    weights = attentions(heads=5)
    plot_layer(weights, TOKENS, 0, tmp_path / "layer.png")
    panels = maps(drawn[0])
    assert [axes.get_title() for axes in panels] == [f"head {i}" for i in range(5)]
    for head, axes in enumerate(panels):
        np.testing.assert_allclose(axes.images[0].get_array(), weights[0][0, head])
    (scale,) = {axes.images[0].get_clim() for axes in panels}
    assert scale == (0.0, pytest.approx(float(weights[0].max())))


def test_the_model_has_a_row_for_each_layer(tmp_path, drawn):
    weights = attentions(layers=3, heads=2)
    plot_model(weights, TOKENS, tmp_path / "model.png")
    panels = maps(drawn[0])
    for axes, expected in zip(panels, torch.cat([w[0] for w in weights]), strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), expected)
    assert [axes.get_ylabel() for axes in panels[::2]] == ["layer 0", "layer 1", "layer 2"]


def test_a_long_text_has_fewer_names(tmp_path, drawn):
    tokens = [str(i) for i in range(130)]
    plot_head(attentions(length=130), tokens, 0, 0, tmp_path / "long.png")
    (axes,) = maps(drawn[0])
    assert [label.get_text() for label in axes.get_xticklabels()] == tokens[::3]


def test_the_names_of_a_layer_stand_once_and_are_told_apart(tmp_path, drawn):
    """Beside the first panel of a row and below the last of a column, as far from each other as they are high."""
    tokens = [str(i) for i in range(32)]
    plot_layer(attentions(heads=5, length=32), tokens, 0, tmp_path / "layer.png")
    panels = maps(drawn[0])
    assert {axes.get_subplotspec().get_gridspec().ncols for axes in panels} == {2}
    for axes, left, below in zip(panels, (1, 0, 1, 0, 1), (0, 0, 0, 1, 1), strict=True):
        for labels, is_shown in ((axes.get_yticklabels(), left), (axes.get_xticklabels(), below)):
            shown = [label for label in labels if label.get_visible() and label.get_text()]
            assert [label.get_text() for label in shown] == (tokens if is_shown else [])
    labels = panels[0].get_yticklabels()
    height = labels[0].get_fontsize() / 72 * drawn[0].dpi  # in pixels
    places = [axes_y for _, axes_y in panels[0].transData.transform([(0, i) for i in range(32)])]
    assert min(abs(a - b) for a, b in zip(places, places[1:], strict=False)) > 1.2 * height


@pytest.mark.parametrize("plot", [plot_head, plot_layer])
def test_the_bar_of_colours_says_where_it_ends(tmp_path, drawn, plot):
    """Its label is not longer than the bar, and lies in the picture."""
    weights = attentions()
    plot(weights, TOKENS, 1, *([2] if plot is plot_head else []), path=tmp_path / "picture.png")
    (bar,) = [axes for axes in drawn[0].axes if not axes.images]
    largest = float((weights[1][0, 2] if plot is plot_head else weights[1]).max())
    assert [tick.get_text() for tick in bar.get_yticklabels()] == ["0", f"{largest / 2:.2g}", f"{largest:.2g}"]
    label = bar.yaxis.label.get_window_extent()
    assert label.height < bar.get_window_extent().height


def test_darker_is_more_in_grey_print_too():
    colors = matplotlib.colormaps[plots.COLORS](np.linspace(0, 1, 50))[:, :3]
    assert (np.diff(colors @ [0.299, 0.587, 0.114]) < 0).all()


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        ((), {}, "attentions: expected a tensor for each layer"),
        (attentions(length=4), {}, r"attentions\[0\] must have shape \(1, heads, 5, 5\).*got \(1, 3, 4, 4\)"),
        (tuple(w.repeat(2, 1, 1, 1) for w in attentions()), {}, r"got \(2, 3, 5, 5\)"),
        (attentions(), {"layer": 2}, r"layer must lie in \[0, 2\), got 2"),
        (attentions(), {"head": -1}, r"head must lie in \[0, 3\), got -1"),
    ],
)
def test_what_does_not_fit(tmp_path, weights, options, message):
    with pytest.raises(ValueError, match=message):
        plot_head(weights, TOKENS, **{"layer": 0, "head": 0} | options, path=tmp_path / "head.png")
    assert not list(tmp_path.iterdir())


def test_a_models_own_attentions_have_the_form_that_plots_and_bertviz_take(tmp_path):
    """bertviz wants a sequence of (1, H, S, S), takes the 1 away and stacks the layers, and S tokens as strings."""
    model, tokenizer = our_model("BertModel").eval(), our_tokenizer()
    inputs = tokenizer("ab cd", "e f", return_tensors="pt")
    found = model(**inputs, output_attentions=True).attentions
    tokens = inputs.tokens()
    assert [tuple(weights.shape) for weights in found] == [(1, 4, len(tokens), len(tokens))] * 2
    stacked = torch.stack([weights.squeeze(0) for weights in found])
    torch.testing.assert_close(stacked.sum(-1), torch.ones(2, 4, len(tokens)))
    assert inputs["token_type_ids"][0].tolist().index(1) == tokens.index("e")  # its sentence_b_start
    plot_model(found, tokens, tmp_path / "model.png")
