// The answers: candidates for the masked word, the next sentence, the classes; each now, and before the last change.

import { color } from "./colors.js";
import { html, percent, picture, refill, svg, toggle, words } from "./dom.js";
import { change, state, viewOf } from "./state.js";
import { station } from "./station.js";
import { t } from "./text.js";

/** Rows of bars, each [name, now, before or null, is marked]. A bar of `most` goes all the way. */
function bars(rows, width, label, most = 1, show = percent) {
  const isCompared = rows.some(([, , before]) => before !== null);
  const height = isCompared ? 38 : 28;
  const left = Math.min(150, width * 0.32);
  const space = width - left - 76;
  const length = (x) => Math.max(1, (space * Math.min(most, Math.abs(x))) / most);
  const groups = rows.map(([name, now, before, isMarked], row) => {
    const y = row * height + (isCompared ? 13 : 14);
    const title = words(left - 10, y + (isCompared ? 7 : 0), name, color("ink"), "end", {
      "font-weight": isMarked ? 600 : 400,
    });
    const one = (top, x, fill, thick) => [
      svg("rect", { x: left, y: top - thick / 2, width: length(x), height: thick, fill, rx: 2 }),
      words(left + length(x) + 7, top, show(x), color("ink-2"), "start", { "font-size": 12 }),
    ];
    return svg(
      "g",
      {},
      title,
      ...one(y, now, color("positive"), 15),
      ...(before === null ? [] : one(y + 15, before, color("before"), 9)),
    );
  });
  return picture(width, rows.length * height + 4, label, ...groups);
}

function legend() {
  const key = (kind, text) => html("span", {}, html("span", { class: `key ${kind}` }), text);
  return html(
    "p",
    { class: "legend" },
    key("now", t("answer.now")),
    key("then", t(state.before ? "answer.kept" : "answer.all_on")),
  );
}

export function buildAnswer({ stations, model }) {
  let found = null;
  const draw = () => {
    if (!found.candidates) return picture(300, 40, "", words(8, 20, t("answer.nothing"), color("ink")));
    const rows = found.candidates.map(({ piece, now, before, is_original }) => [
      is_original ? `${piece} ✓` : piece,
      now,
      before,
      is_original,
    ]);
    const most = Math.max(...rows.flatMap(([, now, before]) => [now, before ?? 0]));
    return bars(rows, body.clientWidth || 700, t("answer.title"), most);
  };
  const { section, body } = station("answer", 6, stations, ["answer"], draw);
  const update = (latest) => {
    found = latest;
    if (!model.fills_masks)
      return refill(body, html("p", { class: "empty" }, t("answer.no_head", { class: model.class })));
    refill(
      body,
      followed(found),
      ...(found.candidates
        ? [finding(found), draw(), found.is_compared ? legend() : null]
        : [html("p", { class: "empty" }, t("answer.nothing"))]),
      keepRow(),
    );
  };
  return { section, update };
}

/** Which of several masks is answered. */
function followed({ pieces, position }) {
  const masks = pieces.map((piece, i) => ({ ...piece, i })).filter(({ piece }) => piece === "[MASK]");
  if (masks.length < 2) return null;
  const buttons = masks.map(({ original, i }) =>
    toggle(original, i === position, () => change({ position: i }), { class: "small", "data-key": `mask-${i}` }),
  );
  return html("div", { class: "row" }, html("span", { class: "quiet" }, t("answer.which")), ...buttons);
}

function finding({ candidates }) {
  const original = candidates.find(({ is_original }) => is_original);
  if (!original)
    return html(
      "p",
      { class: "finding" },
      t("answer.best", { piece: candidates[0].piece, p: percent(candidates[0].now) }),
    );
  const values = { piece: original.piece, p: percent(original.now), rank: original.rank };
  return html("p", { class: "finding" }, t(original.rank === 1 ? "answer.right" : "answer.rank", values));
}

function keepRow() {
  const keep = html(
    "button",
    { type: "button", onclick: () => change({ before: viewOf() }), "data-key": "keep" },
    t("answer.keep"),
  );
  const forget = state.before
    ? html(
        "button",
        { type: "button", onclick: () => change({ before: null }), "data-key": "forget" },
        t("answer.forget"),
      )
    : null;
  return html(
    "div",
    { class: "row" },
    keep,
    forget,
    state.before ? html("span", { class: "quiet" }, t("answer.kept_is", { text: state.before.text })) : null,
  );
}

export function buildPair({ stations, model }) {
  let found = null;
  const rows = () => [
    [t("pair.follows"), found.next_sentence, found.next_sentence_before, false],
    [
      t("pair.random"),
      1 - found.next_sentence,
      found.next_sentence_before === null ? null : 1 - found.next_sentence_before,
      false,
    ],
  ];
  const draw = () => bars(rows(), body.clientWidth || 700, t("pair.title"));
  const { section, body } = station("pair", 7, stations, ["pair"], draw);
  const update = (latest) => {
    found = latest;
    if (!state.pair) return refill(body, html("p", { class: "empty" }, t("pair.none")));
    refill(body, draw(), found.next_sentence_before === null ? null : legend());
  };
  return { section, update, needed: model.judges_pairs };
}

export function buildClasses({ stations, model }) {
  let found = null;
  const draw = () => (Array.isArray(found.classes[0]) ? ofPieces() : ofText());
  const ofText = () => {
    const isNumber = model.problem_type === "regression";
    const most = isNumber ? Math.max(...found.classes.map(Math.abs), 1e-9) : 1;
    const rows = model.labels.map((label, i) => [label, found.classes[i], found.classes_before?.[i] ?? null, false]);
    return bars(rows, body.clientWidth || 700, t("classes.title"), most, isNumber ? (x) => x.toFixed(3) : percent);
  };
  const ofPieces = () => {
    const best = (scores) => scores.indexOf(Math.max(...scores));
    const rows = found.pieces.map(({ piece }, i) => {
      const label = best(found.classes[i]);
      const before = found.classes_before?.[i];
      return [`${piece} · ${model.labels[label]}`, found.classes[i][label], before ? before[label] : null, false];
    });
    return bars(rows, body.clientWidth || 700, t("classes.title"));
  };
  const { section, body } = station("classes", 8, stations, ["classes"], draw);
  const update = (latest) => {
    found = latest;
    refill(body, draw(), found.classes_before === null ? null : legend());
  };
  return { section, update, needed: model.labels !== null };
}
