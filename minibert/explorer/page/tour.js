// The guided tour of a first visit: ten steps, each beside what it speaks of.

import { byId, html, refill } from "./dom.js";
import { t } from "./text.js";

const STEPS = ["bar", "pieces", "embeddings", "attention", "head", "switch", "stream", "answer", "behind", "share"];
// What is lit at a step, where it is not called as the step is.
const LIT = { switch: ".switch", behind: "#answer .behind", share: "#link" };
const SEEN = "minibert-tour-seen";

let step = -1;
let opener = null;

function light(target) {
  document.querySelector(".lit")?.classList.remove("lit");
  if (!target) return;
  target.classList.add("lit");
  const isFixed = ["bar", "link"].includes(target.id);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const options = { behavior: calm ? "auto" : "smooth", block: "start" };
  if (isFixed) window.scrollTo({ top: 0, behavior: options.behavior });
  else target.scrollIntoView(options);
}

export function showStep(number) {
  step = number;
  const name = STEPS[step];
  light(document.querySelector(LIT[name] ?? `#${name}`));
  const isLast = step === STEPS.length - 1;
  refill(
    byId("tour"),
    html("p", { class: "quiet" }, t("tour.count", { step: step + 1, steps: STEPS.length })),
    html("h2", { id: "tour-title" }, t(`tour.${name}.title`)),
    html("p", {}, t(`tour.${name}.text`)),
    html(
      "div",
      { class: "row between" },
      html("button", { type: "button", onclick: closeTour, "data-key": "close" }, t("tour.close")),
      html(
        "span",
        { class: "row" },
        html(
          "button",
          { type: "button", disabled: step === 0, onclick: () => showStep(step - 1), "data-key": "back" },
          t("tour.back"),
        ),
        html(
          "button",
          {
            type: "button",
            class: "primary",
            onclick: () => (isLast ? closeTour() : showStep(step + 1)),
            "data-key": "next",
          },
          t(isLast ? "tour.done" : "tour.next"),
        ),
      ),
    ),
  );
}

export function openTour() {
  opener = document.activeElement;
  byId("tour").hidden = false;
  showStep(0);
  byId("tour").querySelector(".primary").focus({ preventScroll: true });
}

export function closeTour() {
  byId("tour").hidden = true;
  step = -1;
  light(null);
  localStorage.setItem(SEEN, "yes");
  opener?.focus?.({ preventScroll: true });
}

export const isTourOpen = () => step >= 0;
export const redrawTour = () => step >= 0 && showStep(step);
export const isFirstVisit = () => localStorage.getItem(SEEN) === null;
