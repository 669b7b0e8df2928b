// The sentence bar, whose words are masked by a click, and the first station: pieces, ids, positions, segments.

import { byId, html, refill, toggle } from "./dom.js";
import { change, state, toggled } from "./state.js";
import { station } from "./station.js";
import { t } from "./text.js";

/** The pieces in groups, one for each word; a special token is a group of its own. */
export function grouped(pieces) {
  const groups = [];
  pieces.forEach((piece, position) => {
    const last = groups.at(-1);
    if (last && piece.word !== null && last[0].word === piece.word) last.push({ ...piece, position });
    else groups.push([{ ...piece, position }]);
  });
  return groups;
}

const originalText = (group) =>
  group.map(({ original }, i) => (i > 0 && original.startsWith("##") ? original.slice(2) : original)).join("");

function maskWord(group) {
  const positions = group.map(({ position }) => position);
  const isMasked = positions.every((position) => state.masked.includes(position));
  const others = state.masked.filter((position) => !positions.includes(position));
  change({
    masked: isMasked ? others : [...others, ...positions].sort((a, b) => a - b),
    position: isMasked ? null : positions[0],
  });
}

export function showBar(found) {
  const chips = grouped(found.pieces).map((group) => {
    const text = originalText(group);
    if (group[0].word === null) return html("span", { class: "chip special" }, text);
    const isMasked = group.every(({ position }) => state.masked.includes(position));
    const isFollowed = group.some(({ position }) => position === found.position);
    const label = t(isMasked ? "bar.unmask" : "bar.mask", { word: text });
    const options = {
      class: `chip${isFollowed ? " followed" : ""}`,
      title: label,
      "data-key": `word-${group[0].position}`,
    };
    return toggle(text, isMasked, () => maskWord(group), options);
  });
  refill(byId("words"), ...chips);
  byId("words").setAttribute("aria-label", t("bar.label"));
}

export function buildPieces({ stations, model }) {
  const { section, body } = station("pieces", 1, stations, ["pieces"]);
  const update = ({ pieces }) =>
    refill(body, html("div", { class: "pieces" }, ...pieces.map((piece, position) => card(piece, position, model))));
  return { section, update };
}

function card({ piece, id, original, segment, word }, position, model) {
  const isMasked = state.masked.includes(position);
  const mask = () =>
    change({ masked: toggled(state.masked, position).sort((a, b) => a - b), position: isMasked ? null : position });
  const name =
    word === null
      ? html("span", { class: "piece special" }, piece)
      : toggle(piece, isMasked, mask, {
          class: "piece",
          title: t(isMasked ? "bar.unmask" : "bar.mask", { word: original }),
          "data-key": `piece-${position}`,
        });
  const flip = () => change({ flipped: toggled(state.flipped, position) });
  const letter = "AB"[segment] ?? segment;
  const which =
    model.segments > 1
      ? toggle(letter, state.flipped.includes(position), flip, {
          class: `segment s${segment}`,
          title: t("pieces.flip"),
          "aria-label": t("pieces.flip_of", { piece, letter }),
          "data-key": `segment-${position}`,
        })
      : html("span", {}, letter);
  return html(
    "div",
    { class: "card" },
    name,
    html(
      "dl",
      {},
      html("dt", {}, t("pieces.id")),
      html("dd", {}, id),
      html("dt", {}, t("pieces.position")),
      html("dd", {}, position),
      html("dt", {}, t("pieces.segment")),
      html("dd", {}, which),
    ),
    isMasked ? html("span", { class: "quiet was" }, original) : null,
  );
}
