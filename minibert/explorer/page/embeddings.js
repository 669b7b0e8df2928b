// Three vectors, their sum and its LayerNorm: a strip for each, positive numbers above the line and negative below.

import { chooser } from "./chooser.js";
import { color } from "./colors.js";
import { html, picture, refill, signed, svg, words } from "./dom.js";
import { state } from "./state.js";
import { station } from "./station.js";
import { t } from "./text.js";

const ROWS = ["word", "segment", "position", "sum", "normed"];
const SIGNS = { word: "", segment: "+", position: "+", sum: "=", normed: "→" };
const HEIGHT = 52;

export function buildEmbeddings({ stations, model }) {
  let found = null;
  const draw = () => strips(found, model, body.clientWidth || 800);
  const { section, body } = station("embeddings", 2, stations, ["embeddings"], draw);
  const update = (latest) => {
    found = latest;
    const note = t(model.hidden > model.shown_dimensions ? "embeddings.first" : "embeddings.all", {
      shown: model.shown_dimensions,
      all: model.hidden,
    });
    refill(
      body,
      chooser(found.pieces, t("embeddings.choose"), "embedded"),
      draw(),
      html("p", { class: "quiet" }, note, " ", t("embeddings.legend")),
    );
  };
  return { section, update };
}

function strips({ embeddings, pieces }, model, width) {
  const narrow = width < 560;
  const left = narrow ? 22 : 118;
  const right = 64;
  const cell = (width - left - right) / model.shown_dimensions;
  const rows = ROWS.map((name, row) => {
    const { values, norms } = embeddings[name];
    const numbers = values[state.piece];
    const most = Math.max(
      ...ROWS.slice(0, name === "normed" ? 5 : 4)
        .filter((r) => (name === "normed") === (r === "normed"))
        .flatMap((r) => embeddings[r].values[state.piece].map(Math.abs)),
      1e-9,
    );
    const top = row * HEIGHT + (narrow ? 20 : 8);
    const middle = top + 17;
    const bars = numbers.map((x, d) =>
      bar(x, left + d * cell, middle, cell, most, `${t(`embeddings.${name}`)} · d = ${d} · ${signed(x, 3)}`),
    );
    const label = narrow
      ? words(left, top - 9, t(`embeddings.${name}`), color("ink-2"), "start", { "font-size": 12 })
      : words(left - 14, middle, t(`embeddings.${name}`), color("ink"), "end");
    const sign = words(8, middle, SIGNS[name], color("ink-2"), "middle", { "font-size": 17 });
    return svg(
      "g",
      {},
      label,
      sign,
      svg("rect", { x: left, y: top, width: width - left - right, height: 34, fill: color("well"), rx: 2 }),
      ...bars,
      svg("line", { x1: left, x2: width - right, y1: middle, y2: middle, stroke: color("line"), "stroke-width": 1 }),
      words(width, middle, `‖·‖ ${norms[state.piece].toFixed(2)}`, color("ink-2"), "end", { "font-size": 12 }),
    );
  });
  const label = t("embeddings.picture", { piece: pieces[state.piece].piece });
  return picture(width, ROWS.length * HEIGHT + (narrow ? 8 : 0), label, ...rows);
}

function bar(x, left, middle, cell, most, text) {
  const height = (16 * Math.abs(x)) / most;
  const y = x < 0 ? middle : middle - height;
  const shape = { x: left + cell * 0.08, width: cell * 0.84, y, height, fill: color(x < 0 ? "negative" : "positive") };
  return svg(
    "g",
    { "data-tip": text },
    svg("rect", { x: left, y: middle - 17, width: cell, height: 34, fill: "transparent" }),
    svg("rect", shape),
  );
}
