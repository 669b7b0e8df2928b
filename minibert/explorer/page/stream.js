// The residual stream: what the head would answer after every sub-layer, and which of them moved the answer most.

import { color } from "./colors.js";
import { html, percent, picture, refill, svg, words } from "./dom.js";
import { state } from "./state.js";
import { station } from "./station.js";
import { t } from "./text.js";

const HEIGHT = 34;

const stageName = ({ part, layer }) => (layer === null ? t("stream.embeddings") : t(`stream.${part}`, { layer }));

export function buildStream({ stations, model }) {
  let found = null;
  const draw = () =>
    found.lens
      ? chart(found, body.clientWidth || 800)
      : picture(300, 40, "", words(8, 20, t("answer.nothing"), color("ink")));
  const { section, body } = station("stream", 5, stations, ["stream"], draw);
  const update = (latest) => {
    found = latest;
    if (!model.fills_masks)
      return refill(body, html("p", { class: "empty" }, t("answer.no_head", { class: model.class })));
    if (!found.lens) return refill(body, html("p", { class: "empty" }, t("answer.nothing")));
    const most = found.lens.stages[found.lens.moved_most];
    const text = t("stream.most", { stage: stageName(most), moved: percent(most.moved), answer: found.lens.answer });
    refill(
      body,
      html("p", { class: "finding" }, text),
      draw(),
      html("p", { class: "quiet" }, t("stream.legend", { answer: found.lens.answer })),
    );
  };
  return { section, update };
}

function chart({ lens, lens_before }, width) {
  const narrow = width < 560;
  const left = narrow ? 0 : 180; // "Layer 11 feed-forward" in bold
  const rowHeight = narrow ? HEIGHT + 22 : HEIGHT;
  const wordsAt = left + (narrow ? 0 : 10);
  const barsAt = narrow ? width * 0.5 : left + (width - left) * 0.44;
  const barWidth = (width - barsAt - 12) / 2 - 42;
  const movedAt = barsAt + barWidth + 54;
  const title = (x, text) => words(x, 8, text, color("ink-3"), "start", { "font-size": 11 });
  const titles = [
    title(wordsAt, t("stream.best")),
    title(barsAt, t("stream.answer", { answer: lens.answer })),
    title(movedAt, t("stream.moved")),
  ];
  const rows = lens.stages.map((stage, row) => {
    const y = 34 + row * rowHeight;
    const middle = narrow ? y + 16 : y;
    const isMost = row === lens.moved_most;
    const name = narrow
      ? words(0, y - 6, stageName(stage), color("ink"), "start", { "font-weight": isMost ? 600 : 400, "font-size": 12 })
      : words(left - 10, y, stageName(stage), color("ink"), "end", { "font-weight": isMost ? 600 : 400 });
    const off = stage.layer !== null && state.layers_off.includes(stage.layer);
    return svg(
      "g",
      { opacity: off ? 0.45 : 1 },
      isMost
        ? svg("rect", { x: 0, y: y - 17, width, height: rowHeight, fill: color("highlight"), rx: 4 })
        : svg("line", { x1: 0, x2: width, y1: y - 17, y2: y - 17, stroke: color("line") }),
      name,
      best(stage, wordsAt, middle, narrow ? 1 : width < 760 ? 2 : 3),
      svg("rect", {
        x: barsAt,
        y: middle - 7,
        width: Math.max(1, barWidth * stage.answer),
        height: 14,
        fill: color("positive"),
        rx: 2,
      }),
      lens_before && lens_before.answer === lens.answer
        ? svg("rect", {
            x: barsAt + barWidth * lens_before.stages[row].answer - 1,
            y: middle - 10,
            width: 2,
            height: 20,
            fill: color("before"),
            "data-tip": `${t("answer.before")}: ${percent(lens_before.stages[row].answer)}`,
          })
        : "",
      words(barsAt + barWidth * stage.answer + 6, middle, percent(stage.answer), color("ink-2"), "start", {
        "font-size": 12,
      }),
      stage.moved === null
        ? ""
        : svg("rect", {
            x: movedAt,
            y: middle - 4,
            width: Math.max(1, barWidth * stage.moved),
            height: 8,
            fill: color("ink-3"),
            rx: 2,
          }),
      stage.moved === null
        ? ""
        : words(movedAt + barWidth * stage.moved + 6, middle, percent(stage.moved), color("ink-2"), "start", {
            "font-size": 12,
          }),
    );
  });
  return picture(
    width,
    34 + lens.stages.length * rowHeight - 14,
    t("stream.picture", { answer: lens.answer }),
    ...titles,
    ...rows,
  );
}

function best({ best }, x, y, count) {
  const spans = best
    .slice(0, count)
    .flatMap(([word, p], i) => [
      svg("tspan", { "font-weight": i === 0 ? 600 : 400, fill: color("ink") }, (i ? "  " : "") + word),
      svg("tspan", { fill: color("ink-3"), "font-size": 12 }, ` ${percent(p)}`),
    ]);
  return svg("text", { x, y, "dominant-baseline": "central", style: "white-space: pre" }, ...spans);
}
