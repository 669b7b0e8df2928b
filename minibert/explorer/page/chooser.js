// A row of word pieces of which one is looked at: by a click, with the arrow keys, or in passing with the mouse.

import { html } from "./dom.js";
import { change, state } from "./state.js";

export function chooser(pieces, label, name) {
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = (state.piece + step + pieces.length) % pieces.length;
    change({ piece: next });
    document.querySelector(`[data-key="${name}-${next}"]`)?.focus();
  };
  const buttons = pieces.map(({ piece }, position) => {
    const isChosen = position === state.piece;
    const options = {
      type: "button",
      class: "choice",
      role: "radio",
      "aria-checked": String(isChosen),
      tabindex: isChosen ? 0 : -1,
      "data-key": `${name}-${position}`,
    };
    return html("button", { ...options, onclick: () => change({ piece: position }) }, piece);
  });
  return html("div", { class: "chooser", role: "radiogroup", "aria-label": label, onkeydown: move }, ...buttons);
}
