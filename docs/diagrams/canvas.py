"""A sheet to draw on: boxes, arrows, matrices and words, written out as SVG.

It keeps where every word stands, so that it can refuse a label that does not fit its box, and so that a test can see
whether two labels touch.
"""

import re
from dataclasses import dataclass, field
from html import escape

# The colours of the plots: dark blue and orange, and tints of them that differ in grey print, too.
INK, QUIET, PAPER = "#1b2733", "#56636f", "#fbfcfd"
BLUE, ORANGE = "#1b3a5c", "#d98032"
FILLS = {
    "data": ("#e3edf7", BLUE, INK),  # what flows: tokens, vectors
    "part": (BLUE, BLUE, "#ffffff"),  # what has parameters
    "choice": ("#f5c999", "#a85a17", INK),  # what is decided or added
    "plain": ("#ffffff", "#8a96a3", INK),
    "empty": ("#ffffff", "#c3cad1", QUIET),  # padding
}
# Four tints of blue, light to dark, for things that lie side by side, such as heads.
SHADES = (("#e3edf7", INK), ("#b9d0e6", INK), ("#7fa6cc", INK), ("#38618c", "#ffffff"))

FONTS = "system-ui, 'Segoe UI', 'Noto Sans', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif"
CODE_FONTS = "ui-monospace, 'SF Mono', Consolas, 'DejaVu Sans Mono', 'Noto Sans CJK SC', monospace"
STYLE = f"""text {{ font-family: {FONTS}; font-size: 14px; fill: {INK}; text-anchor: middle }}
.code {{ font-family: {CODE_FONTS} }}
.left {{ text-anchor: start }}
.right {{ text-anchor: end }}
.bold {{ font-weight: 600 }}"""


@dataclass
class Canvas:
    """A card of `width` × `height` pixels; y grows downwards.

    Attributes:
        labels: of every text its left, top, right and bottom edge (estimated) and itself.
    """

    width: float
    height: float
    title: str
    shapes: list[str] = field(default_factory=list)
    labels: list[tuple[float, float, float, float, str]] = field(default_factory=list)

    def text(
        self, x: float, y: float, words: str, size: float = 14, color: str = INK, style: str = "", limit: float = 0
    ) -> None:
        """Words around (x, y), or beginning ("left") or ending ("right") there; "bold" and "code" may be added.

        In style "math", what follows a `_` stands low and what follows a `^` stands high: W_the, W^Q.

        Raises `ValueError` if they are wider than `limit`, where there is one.
        """
        width = width_of(words, size, style)
        if limit and width > limit:
            raise ValueError(f"{words!r} is {width:.0f} pixels wide, and has {limit:.0f}: shorten it or make room")
        left = x if "left" in style else x - width if "right" in style else x - width / 2
        self.labels.append((left, y - 0.5 * size, left + width, y + 0.5 * size, words))
        own = [f"font-size:{size:g}px"] * (size != 14) + [f"fill:{color}"] * (color != INK)
        attributes = f' class="{style}"' if style else ""
        attributes += f' style="{";".join(own)}"' if own else ""
        written = raised(words, size) if "math" in style else escape(words)
        self.shapes.append(f'<text x="{x:g}" y="{y + 0.36 * size:g}"{attributes}>{written}</text>')

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *lines: str,
        kind: str = "data",
        size: float = 14,
        style: str = "",
        shade: int | None = None,
    ) -> None:
        """A box with its upper left corner at (x, y) and lines of words in its middle, the later ones smaller."""
        color = FILLS[kind][2] if shade is None else SHADES[shade][1]
        self.bar(x, y, width, height, kind, shade)
        step = size + 4
        for number, words in enumerate(lines):
            middle = y + height / 2 + (number - (len(lines) - 1) / 2) * step
            self.text(x + width / 2, middle, words, size - (2 if number else 0), color, style, limit=width - 6)

    def bar(
        self, x: float, y: float, width: float, height: float, kind: str = "data", shade: int | None = None
    ) -> None:
        """A box without words."""
        fill, edge, _ = FILLS[kind]
        fill = fill if shade is None else SHADES[shade][0]
        dashes = ' stroke-dasharray="4 3"' if kind in ("empty", "choice") and width > 8 else ""
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{min(4, width / 2):g}"'
        self.shapes.append(f'<rect {place} fill="{fill}" stroke="{edge}" stroke-width="1.4"{dashes}/>')

    def frame(self, x: float, y: float, width: float, height: float) -> None:
        """A pale ground for what belongs together."""
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8"'
        self.shapes.append(f'<rect {place} fill="#f0f3f6" stroke="#a9b4bf" stroke-width="1.2"/>')

    def line(self, *points: tuple[float, float], thick: float = 1.6, color: str = INK, dashed: bool = False) -> None:
        """A line through the points."""
        path = " ".join(f"{'L' if i else 'M'}{x:g} {y:g}" for i, (x, y) in enumerate(points))
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self.shapes.append(f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{thick:g}"{dashes}/>')

    def arrow(self, *points: tuple[float, float], color: str = INK, dashed: bool = False, thick: float = 1.6) -> None:
        """A line through the points with a head at the last one; its last piece is upright or level."""
        (x0, y0), (x, y) = points[-2:]
        across, down = (x > x0) - (x < x0), (y > y0) - (y < y0)
        long, wide = 8, 4.5
        back = (x - across * long, y - down * long)
        self.line(*points[:-1], back, thick=thick, color=color, dashed=dashed)
        corners = [(x, y), (back[0] + down * wide, back[1] + across * wide)]
        corners.append((back[0] - down * wide, back[1] - across * wide))
        path = " ".join(f"{a:g},{b:g}" for a, b in corners)
        self.shapes.append(f'<polygon points="{path}" fill="{color}"/>')

    def plus(self, x: float, y: float, radius: float = 11) -> None:
        """A sum."""
        circle = f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}"'
        self.shapes.append(f'{circle} fill="{FILLS["choice"][0]}" stroke="{FILLS["choice"][1]}" stroke-width="1.4"/>')
        arm = radius * 0.55
        self.line((x - arm, y), (x + arm, y), thick=2)
        self.line((x, y - arm), (x, y + arm), thick=2)

    def matrix(self, x: float, y: float, rows: int, columns: int, cell: float, shades: list[int] | None = None) -> None:
        """A grid of cells; `shades` colours its columns."""
        for row in range(rows):
            for column in range(columns):
                fill = SHADES[shades[column]][0] if shades else FILLS["data"][0]
                place = f'x="{x + column * cell:g}" y="{y + row * cell:g}" width="{cell:g}" height="{cell:g}"'
                self.shapes.append(f'<rect {place} fill="{fill}" stroke="{BLUE}" stroke-width="0.8"/>')

    def svg(self) -> str:
        """The file, with a light card behind everything, so that it is legible on a dark page."""
        size = f'width="{self.width:g}" height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}"'
        card = f'<rect x="0.5" y="0.5" width="{self.width - 1:g}" height="{self.height - 1:g}" rx="10"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{escape(self.title)}</title>",
            f"<style>\n{STYLE}\n</style>",
            f'{card} fill="{PAPER}" stroke="#d5dbe1"/>',
            *self.shapes,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


def raised(words: str, size: float) -> str:
    """A letter and what stands low (`_`) or high (`^`) beside it, as the inside of a text element."""
    letter, mark, rest = re.split("([_^])", words, maxsplit=1)
    shift = 0.25 * size if mark == "_" else -0.4 * size
    return f'{escape(letter)}<tspan dy="{shift:g}" style="font-size:{0.78 * size:g}px">{escape(rest)}</tspan>'


def width_of(words: str, size: float, style: str = "") -> float:
    """About how many pixels words are wide, rather too many than too few: no font is asked."""
    latin = 0.61 if "code" in style else 0.57 if "bold" in style else 0.54
    return sum(size * (1.0 if ord(letter) > 0x2E80 else latin) for letter in words)
