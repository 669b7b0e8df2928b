// The page: what is typed and clicked becomes a view, the server's numbers of it become pictures.

import * as api from "./api.js";
import { buildAnswer, buildClasses, buildPair } from "./answer.js";
import { forgetColors } from "./colors.js";
import { byId, html, percent, refill } from "./dom.js";
import { movedPositions } from "./edit.js";
import { buildEmbeddings } from "./embeddings.js";
import { buildHead } from "./head.js";
import { buildMaps } from "./maps.js";
import { buildPieces, showBar } from "./pieces.js";
import { change, fromHash, onChange, state, viewOf } from "./state.js";
import { buildStream } from "./stream.js";
import { LANGUAGES, language, t, useLanguage } from "./text.js";
import { closeTour, isFirstVisit, isTourOpen, openTour, redrawTour } from "./tour.js";

const BUILDERS = [
  buildPieces,
  buildEmbeddings,
  buildMaps,
  buildHead,
  buildStream,
  buildAnswer,
  buildPair,
  buildClasses,
];
const ONLY_SEEN = ["layer", "head", "piece"]; // changes that the server's numbers of a view do not depend on

let context = null; // the model and the stations' sources, from the server
let built = []; // the stations
let found = null; // the numbers of the view
let asked = 0;
let shown = 0;

async function ask(changed) {
  const mine = ++asked;
  try {
    const answer = await api.look(viewOf(), state.before);
    if (mine !== asked) return; // something else was asked in the meantime
    found = answer;
    byId("problem").hidden = true;
    await show(changed);
  } catch (error) {
    if (mine !== asked) return;
    byId("problem").textContent = error.message;
    byId("problem").hidden = false;
  }
}

async function show(changed, redraw = false) {
  if (state.piece === null || state.piece >= found.pieces.length) state.piece = found.position ?? 1;
  showBar(found);
  showStatus();
  for (const { update, section } of built) await update(found, section.id === "attention" ? redraw : changed);
  document.body.dataset.ready = String(++shown); // tests wait for it
}

function showStatus() {
  const best = found.candidates?.[0];
  byId("status").textContent = best
    ? t("bar.status", { piece: best.piece, p: percent(best.now) })
    : context.model.fills_masks
      ? t("bar.nothing")
      : "";
}

onChange((changed) => {
  if (changed.every((key) => ONLY_SEEN.includes(key))) {
    if (found) show(changed);
  } else ask(changed);
});

/** New texts: find out which pieces they have, then take the masks along. */
async function retype(text, pair) {
  const old = { text: state.text, pair: state.pair ?? "", pieces: found?.pieces ?? [] };
  const mine = ++asked;
  try {
    const { pieces } = await api.look({ text, pair });
    if (mine !== asked) return;
    const texts = [
      [old.text, text],
      [old.pair, pair ?? ""],
    ];
    const along = (positions) => movedPositions(positions, old.pieces, pieces, texts);
    change({ text, pair, masked: along(state.masked), flipped: along(state.flipped), position: null, piece: null });
  } catch (error) {
    if (mine !== asked) return;
    byId("problem").textContent = error.message;
    byId("problem").hidden = false;
  }
}

function showExamples() {
  const examples = ["1", "2", "3"].map((number) => {
    const text = t(`example.${number}`);
    const words = text.replace(/[{}]/g, "");
    const click = () => useExample(text);
    return html("button", { type: "button", class: "small example", onclick: click }, words);
  });
  refill(byId("examples"), ...examples);
}

/** An example's {word} in braces is masked. */
async function useExample(text) {
  const start = text.indexOf("{");
  const [plain, end] = [text.replace(/[{}]/g, ""), text.indexOf("}") - 1];
  const { pieces } = await api.look({ text: plain });
  const masked = pieces.flatMap(({ word, characters }, i) =>
    word !== null && characters[0] >= start && characters[1] <= end ? [i] : [],
  );
  change({ text: plain, pair: null, masked, flipped: [], position: null, piece: null });
  showFields();
}

function showFields() {
  const hasPair = state.pair !== null;
  byId("sentence").value = state.text;
  byId("second-sentence").value = state.pair ?? "";
  byId("pair-field").hidden = !hasPair;
  byId("pair-toggle").textContent = t(hasPair ? "ask.one" : "ask.two");
  byId("pair-toggle").setAttribute("aria-expanded", String(hasPair));
}

/** Everything that has words in it, anew. */
function build() {
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  document.title = `${t("title")} · ${context.model.name}`;
  byId("model").textContent = t("model", { ...context.model, parameters: (context.model.parameters / 1e6).toFixed(1) });
  built = BUILDERS.map((builder) => builder(context)).filter(({ needed }) => needed !== false);
  byId("stations").replaceChildren(...built.map(({ section }) => section));
  showExamples();
  showFields();
}

function listen() {
  let waiting = null;
  const typed = () => {
    clearTimeout(waiting);
    waiting = setTimeout(
      () => retype(byId("sentence").value, state.pair === null ? null : byId("second-sentence").value),
      350,
    );
  };
  byId("sentence").addEventListener("input", typed);
  byId("second-sentence").addEventListener("input", typed);
  byId("pair-toggle").addEventListener("click", () => {
    const pair = state.pair === null ? t("example.pair") : null;
    state.pair = pair; // the field opens at once
    showFields();
    retype(state.text, pair);
  });
  byId("tour-open").addEventListener("click", openTour);
  byId("link").addEventListener("click", copyLink);
  byId("theme").addEventListener("click", otherTheme);
  byId("language").addEventListener("click", otherLanguage);
  document.addEventListener("keydown", (event) => event.key === "Escape" && isTourOpen() && closeTour());
  document.addEventListener("pointermove", showTip);
  window.addEventListener("hashchange", () => {
    change(fromHash(location.hash));
    showFields();
  });
  new ResizeObserver(redrawSoon).observe(byId("stations"));
}

let width = 0;
function redrawSoon() {
  if (width === byId("stations").clientWidth) return;
  width = byId("stations").clientWidth;
  if (found) show(["piece"]);
}

function showTip(event) {
  const text = event.target.closest?.("[data-tip]")?.dataset.tip;
  const tip = byId("tip");
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  tip.style.left = `${Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${event.clientY + 18}px`;
}

async function copyLink() {
  const button = byId("link");
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = t("link.copied");
  } catch {
    button.textContent = t("link.address"); // without permission, the address bar has it
  }
  setTimeout(() => (button.textContent = t("link")), 2000);
}

function useTheme(name) {
  document.documentElement.dataset.theme = name;
  localStorage.setItem("minibert-theme", name);
  forgetColors();
}

function otherTheme() {
  const isDark = getComputedStyle(document.documentElement).colorScheme.includes("dark");
  useTheme(isDark ? "light" : "dark");
  show(["piece"], true);
}

async function otherLanguage() {
  await useLanguage(LANGUAGES[(LANGUAGES.indexOf(language) + 1) % LANGUAGES.length]);
  localStorage.setItem("minibert-language", language);
  build();
  await show(["text"], true);
  redrawTour();
}

async function start() {
  const stored = localStorage.getItem("minibert-theme");
  if (stored) document.documentElement.dataset.theme = stored;
  const wanted = localStorage.getItem("minibert-language") ?? navigator.language.slice(0, 2);
  await useLanguage(LANGUAGES.includes(wanted) ? wanted : LANGUAGES[0]);
  context = await api.about();
  const linked = fromHash(location.hash);
  Object.assign(state, linked);
  build();
  listen();
  if (linked.text) await ask(["text"]);
  else await useExample(t("example.1"));
  if (isFirstVisit() && !linked.text) openTour();
}

start();
