"""Attention pictures: what each token looks at, in one head, in the heads of a layer, or in the whole model.

They take what a model returns with `output_attentions=True` for one text, and the tokens of that text:

    inputs = tokenizer("The cat sat.", return_tensors="pt")
    attentions = model(**inputs, output_attentions=True).attentions
    plot_layer(attentions, inputs.tokens(), layer=0, path="layer.png")

Layers and heads are numbered from 0, as in `attentions[layer][0, head]`.
"""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

from torch import Tensor

from minibert.checkpoint.files import written_whole

MOST_LABELS = 48  # along an axis; of a longer text only every second token is named, or every third
COLORS = "Blues"  # from white to dark: the order stays in grey print


def plot_head(attentions: Sequence[Tensor], tokens: Sequence[str], layer: int, head: int, path: str | Path) -> None:
    """Draw one head into a PNG: a row for each token that looks, a column for each that is looked at.

    Args:
        attentions: L times (1, H, S, S), of one text.
        tokens: the S tokens.

    Raises: `ValueError` if these do not fit together, or if there is no such layer or head.
    """
    weights = _checked(attentions, tokens, layer, head)[layer][head]
    side = min(12.0, 0.26 * len(tokens))
    figure = _figure(side + 2.5, side + 1.7)
    axes = figure.subplots()
    image = _draw(axes, weights, vmax=weights.max())
    _name_tokens(axes, tokens, size=9)
    axes.set(xlabel="is looked at (key)", ylabel="looks (query)")
    axes.set_title(f"layer {layer}, head {head} (each row sums to 1)", fontsize=11)
    _explain_colors(figure, image, axes, side)
    _save(figure, path)


def plot_layer(attentions: Sequence[Tensor], tokens: Sequence[str], layer: int, path: str | Path) -> None:
    """Draw all heads of one layer, a panel each, on one scale of colours; the rest as for `plot_head`."""
    heads = _checked(attentions, tokens, layer)[layer]
    side = min(5.5, max(1.6, 0.17 * len(tokens)))  # so that the names have room
    columns = min(len(heads), int(11 // side))
    rows = ceil(len(heads) / columns)
    figure = _figure(columns * (side + 0.1) + 2.2, rows * (side + 0.3) + 1.1)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for head, axes in enumerate(panels.flat):
        if head >= len(heads):
            axes.axis("off")
            continue
        image = _draw(axes, heads[head], vmax=heads.max())
        _name_tokens(axes, tokens, size=8)
        axes.tick_params(labelbottom=head + columns >= len(heads))  # of a column, the last panel only
        axes.set_title(f"head {head}", fontsize=10)
    figure.suptitle(f"layer {layer} (each row sums to 1)", fontsize=11)
    figure.supxlabel("is looked at (key)", fontsize=10)
    figure.supylabel("looks (query)", fontsize=10)
    _explain_colors(figure, image, panels, rows * side)
    _save(figure, path)


def plot_model(attentions: Sequence[Tensor], tokens: Sequence[str], path: str | Path) -> None:
    """Draw all heads of all layers as small maps, a row for each layer, to see what kinds of patterns there are.

    Each map has its own scale of colours, from 0 to its largest weight; the rest as for `plot_head`.
    """
    layers = _checked(attentions, tokens)
    figure = _figure(1.2 + 1.1 * len(layers[0]), 1.2 + 1.1 * len(layers))
    panels = figure.subplots(len(layers), len(layers[0]), squeeze=False)
    for layer, heads in enumerate(layers):
        for head, weights in enumerate(heads):
            axes = panels[layer, head]
            _draw(axes, weights, vmax=weights.max())
            axes.set(xticks=[], yticks=[])
            if layer == 0:
                axes.set_title(f"head {head}", fontsize=9)
            if head == 0:
                axes.set_ylabel(f"layer {layer}", fontsize=9)
    figure.suptitle(f"{len(tokens)} tokens, {tokens[0]} at the top left of each map")
    figure.supxlabel("is looked at (key)", fontsize=10)
    figure.supylabel("looks (query)", fontsize=10)
    _save(figure, path)


def _checked(
    attentions: Sequence[Tensor], tokens: Sequence[str], layer: int | None = None, head: int | None = None
) -> list[Tensor]:
    """The weights of each layer, (H, S, S) in fp32 on the CPU. Raises `ValueError`."""
    if not attentions:
        raise ValueError("attentions: expected a tensor for each layer; call the model with output_attentions=True")
    for number, weights in enumerate(attentions):
        if weights.ndim != 4 or len(weights) != 1 or tuple(weights.shape[2:]) != (len(tokens),) * 2:
            expected = f"(1, heads, {len(tokens)}, {len(tokens)}): one text, and as many positions as tokens"
            raise ValueError(f"attentions[{number}] must have shape {expected}; got {tuple(weights.shape)}")
    for name, value, count in (("layer", layer, len(attentions)), ("head", head, attentions[0].shape[1])):
        if value is not None and not 0 <= value < count:
            raise ValueError(f"{name} must lie in [0, {count}), got {value}")
    return [weights[0].detach().float().cpu() for weights in attentions]


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure  # takes a second to import, and few uses need it

    return Figure(figsize=(width, height), layout="compressed")


def _draw(axes: Any, weights: Tensor, vmax: Tensor) -> Any:
    # Every cell in one piece: smoothing would show weights between tokens.
    return axes.imshow(weights.numpy(), cmap=COLORS, vmin=0.0, vmax=float(vmax), interpolation="nearest")


def _explain_colors(figure: Any, image: Any, axes: Any, height: float) -> None:
    """A bar of the colours beside `axes`, which are `height` inches high; it ends where the weights do."""
    largest = image.get_clim()[1]
    bar = {"shrink": min(1.0, 3.0 / height), "aspect": 15, "ticks": [0, largest / 2, largest], "format": "%.2g"}
    figure.colorbar(image, ax=axes, label="attention weight", **bar)


def _name_tokens(axes: Any, tokens: Sequence[str], size: int) -> None:
    ticks = range(0, len(tokens), ceil(len(tokens) / MOST_LABELS))
    # A dollar sign would begin a formula.
    names = [tokens[i].replace("$", r"\$") for i in ticks]
    axes.set_xticks(ticks, names, rotation=90, fontsize=size)
    axes.set_yticks(ticks, names, fontsize=size)


def _save(figure: Any, path: str | Path) -> None:
    with written_whole(Path(path)) as temporary:
        figure.savefig(temporary, format="png", dpi=120, bbox_inches="tight")
