// One head from near: lines between words, and for the word that is looked from every step with its numbers.

import * as api from "./api.js";
import { chooser } from "./chooser.js";
import { color, rampColor } from "./colors.js";
import { html, percent, picture, refill, signed, svg, toggle, words } from "./dom.js";
import { change, isOff, state, toggledHead, viewOf } from "./state.js";
import { station } from "./station.js";
import { t } from "./text.js";

export function buildHead({ stations }) {
  let found = null;
  let near = null;
  let asked = 0;
  let key = null; // the word whose product with the query is written out; null: the one that is looked at most
  const draw = () =>
    lines(found, near, Math.min(460, figure.clientWidth || 460), (position) => change({ piece: position }));
  const { section, body } = station("head", 4, stations, ["attention", "switches"], draw);
  const figure = html("div", { class: "head-lines" });
  const numbers = html("div", { class: "head-numbers" });
  const top = html("div");
  body.append(top, html("div", { class: "head-both" }, figure, numbers));

  const show = () => {
    if (!near || near.weights.length !== found.pieces.length) return;
    refill(top, heading(), chooser(found.pieces, t("head.choose"), "looks"));
    refill(figure, draw());
    const chosen = key ?? near.weights[state.piece].indexOf(Math.max(...near.weights[state.piece]));
    refill(
      numbers,
      table(found, near, chosen, (position) => ((key = position), show())),
      html("p", { class: "quiet" }, t("head.legend")),
      ...products(found, near, chosen),
    );
  };
  const fetchHead = async () => {
    const mine = ++asked;
    const answer = await api.oneHead(viewOf(), state.layer, state.head);
    if (mine !== asked) return; // a later question is on its way
    near = answer;
    key = null;
    show();
  };
  const update = async (latest, changed) => {
    found = latest;
    if (changed.includes("piece")) key = null;
    if (changed.every((name) => name === "piece")) show();
    else await fetchHead();
  };
  return { section, update };
}

function heading() {
  const { layer, head } = state;
  const layerIsOff = state.layers_off.includes(layer);
  const label = t(isOff(layer, head) ? "head.switch_on" : "head.switch_off");
  const options = {
    class: "switch",
    disabled: layerIsOff,
    title: layerIsOff ? t("head.layer_is_off") : null,
    "data-key": "head-switch",
  };
  return html(
    "div",
    { class: "row between" },
    html("h3", {}, t("attention.head", { layer, head })),
    toggle(label, isOff(layer, head), () => change({ heads_off: toggledHead(layer, head) }), options),
  );
}

/** Two columns of the same words, left those that look, right those that are looked at. */
function lines({ pieces }, { weights }, width, choose) {
  const step = pieces.length > 32 ? 19 : 26;
  const side = Math.min(120, width * 0.3);
  const y = (position) => 30 + position * step;
  const from = (i, strong) =>
    weights[i].map((weight, j) => {
      if (weight < 0.01) return null;
      const look = strong
        ? { stroke: rampColor(0.35 + 0.65 * weight), "stroke-width": 1 + 5 * weight, opacity: 1 }
        : { stroke: color("ink-3"), "stroke-width": 0.5 + 2 * weight, opacity: 0.5 * weight };
      const middle = width / 2;
      return svg("path", {
        d: `M${side} ${y(i)}C${middle} ${y(i)} ${middle} ${y(j)} ${width - side} ${y(j)}`,
        fill: "none",
        ...look,
        "data-tip": strong ? `${pieces[i].piece} → ${pieces[j].piece}: ${percent(weight)}` : null,
      });
    });
  const others = weights.flatMap((_, i) => (i === state.piece ? [] : from(i, false)));
  const left = pieces.map(({ piece }, i) => {
    const isChosen = i === state.piece;
    const name = words(side - 8, y(i), piece, isChosen ? color("accent") : color("ink-2"), "end", {
      "font-weight": isChosen ? 600 : 400,
    });
    return svg(
      "g",
      { style: "cursor: pointer", onpointerenter: () => choose(i), onclick: () => choose(i) },
      svg("rect", { x: 0, y: y(i) - step / 2, width: side, height: step, fill: "transparent" }),
      name,
    );
  });
  const right = pieces.map(({ piece }, j) => {
    const weight = weights[state.piece][j];
    return words(width - side + 8, y(j), piece, weight > 0.05 ? color("ink") : color("ink-3"), "start", {
      "font-weight": weight > 0.2 ? 600 : 400,
    });
  });
  const titles = [
    words(side - 8, 8, t("head.looks"), color("ink-3"), "end", { "font-size": 11 }),
    words(width - side + 8, 8, t("head.looked_at"), color("ink-3"), "start", { "font-size": 11 }),
  ];
  return picture(
    width,
    y(pieces.length) - step / 2 + 6,
    t("head.picture", { layer: state.layer, head: state.head }),
    ...titles,
    ...others.filter(Boolean),
    ...from(state.piece, true).filter(Boolean),
    ...left,
    ...right,
  );
}

function table({ pieces }, { scores, weights, taken }, chosen, choose) {
  const i = state.piece;
  const most = { score: Math.max(...scores[i].map(Math.abs)), taken: Math.max(...taken[i]) };
  const rows = pieces.map(({ piece }, j) =>
    html(
      "tr",
      { class: j === chosen ? "chosen" : null },
      html(
        "th",
        { scope: "row" },
        html(
          "button",
          {
            type: "button",
            class: "plain",
            onclick: () => choose(j),
            "data-key": `key-${j}`,
            "aria-pressed": String(j === chosen),
          },
          piece,
        ),
      ),
      cell(signed(scores[i][j]), scores[i][j] / most.score, scores[i][j] < 0 ? "negative" : "positive"),
      cell(percent(weights[i][j]), weights[i][j], "positive"),
      cell(taken[i][j].toFixed(2), taken[i][j] / (most.taken || 1), "positive"),
    ),
  );
  const head = ["head.key", "head.score", "head.weight", "head.taken"].map((name) =>
    html("th", { scope: "col", title: t(`${name}.long`) }, t(name)),
  );
  return html(
    "table",
    { class: "numbers" },
    html("caption", {}, t("head.table", { piece: pieces[i].piece })),
    html("thead", {}, html("tr", {}, ...head)),
    html("tbody", {}, ...rows),
  );
}

function cell(text, share, kind) {
  const bar = html("span", { class: `bar-in-cell ${kind}`, "aria-hidden": "true" });
  bar.style.setProperty("--share", Math.abs(share).toFixed(4));
  return html("td", {}, html("span", { class: "number-in-cell" }, text), bar);
}

/** The two products of a query and a key's word, dimension by dimension: q · k, and the share times v. */
function products({ pieces }, { query, key, value, scores, weights, taken }, j) {
  const i = state.piece;
  const names = { query: pieces[i].piece, key: pieces[j].piece };
  const fits = query[i].map((x, d) => x * key[j][d]);
  const sum = signed(fits.reduce((a, b) => a + b, 0));
  const score = t("head.product", { ...names, sum, size: fits.length, score: signed(scores[i][j]) });
  const share = t("head.value", { ...names, share: percent(weights[i][j]), taken: taken[i][j].toFixed(2) });
  const gives = value[j].map((x) => weights[i][j] * x);
  const most = Math.max(...value[j].map(Math.abs));
  return [
    figureOf(
      score,
      fits,
      Math.max(...fits.map(Math.abs)),
      (x, d) => `d = ${d}: ${signed(query[i][d])} · ${signed(key[j][d])} = ${signed(x)}`,
    ),
    figureOf(
      share,
      gives,
      most,
      (x, d) => `d = ${d}: ${weights[i][j].toFixed(3)} · ${signed(value[j][d])} = ${signed(x)}`,
    ),
  ];
}

function figureOf(text, numbers, most, tip) {
  const width = 300;
  const cellWidth = width / numbers.length;
  const bars = numbers.map((x, d) => {
    const height = (22 * Math.abs(x)) / (most || 1);
    const place = { x: d * cellWidth + 0.5, width: Math.max(1, cellWidth - 1), y: x < 0 ? 24 : 24 - height, height };
    const ground = svg("rect", { x: d * cellWidth, y: 0, width: cellWidth, height: 48, fill: "transparent" });
    return svg(
      "g",
      { "data-tip": tip(x, d) },
      ground,
      svg("rect", { ...place, fill: color(x < 0 ? "negative" : "positive") }),
    );
  });
  const axis = svg("line", { x1: 0, x2: width, y1: 24, y2: 24, stroke: color("line") });
  return html(
    "figure",
    { class: "product-figure" },
    html("figcaption", { class: "quiet" }, text),
    picture(width, 48, text, axis, ...bars),
  );
}
