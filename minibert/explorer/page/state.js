// What is seen, all of it in the address behind the #, so that a link shows the same to others.

const START = {
  text: "", // the first sentence
  pair: null, // the second one
  masked: [], // positions of word pieces
  flipped: [],
  heads_off: [], // [layer, head]
  layers_off: [],
  position: null, // the mask that is followed
  layer: 0, // the head that is seen from near
  head: 0,
  piece: null, // the piece that is looked from
  before: null, // the view that answers are compared with
};

export const state = { ...START };

const VIEW = ["text", "pair", "masked", "flipped", "heads_off", "layers_off", "position"];
const listeners = [];

/** What the server is asked about. */
export const viewOf = (from = state) => Object.fromEntries(VIEW.map((key) => [key, from[key]]));

export const onChange = (listener) => listeners.push(listener);

/** Change the state; whoever listens is told which keys. */
export function change(changes) {
  Object.assign(state, changes);
  history.replaceState(null, "", toHash());
  for (const listener of listeners) listener(Object.keys(changes));
}

export function toHash() {
  const kept = Object.entries(state).filter(([, value]) => value !== null && !(Array.isArray(value) && !value.length));
  const values = kept.map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]);
  return "#" + new URLSearchParams(values);
}

const isNumber = (value) => Number.isInteger(value) && value >= 0;
const isHead = (value) => Array.isArray(value) && value.length === 2 && value.every(isNumber);
const isText = (value) => typeof value === "string";
const listOf = (isItem) => (value) => Array.isArray(value) && value.every(isItem);
const isView = (value) =>
  typeof value === "object" && value !== null && Object.entries(value).every(([key, part]) => isOurs(key, part));

// What a value of each key must be.
const KINDS = {
  text: isText,
  pair: (value) => value === null || isText(value),
  masked: listOf(isNumber),
  flipped: listOf(isNumber),
  heads_off: listOf(isHead),
  layers_off: listOf(isNumber),
  position: (value) => value === null || isNumber(value),
  layer: isNumber,
  head: isNumber,
  piece: isNumber,
  before: (value) => isView(value) && isText(value.text) && Object.keys(value).every((key) => VIEW.includes(key)),
};
const isOurs = (key, value) => Object.hasOwn(KINDS, key) && KINDS[key](value);

/** The whole state that an address stands for; what is none of ours, or of another kind than ours, is left out. */
export function fromHash(hash) {
  const found = { ...START };
  for (const [key, value] of new URLSearchParams(hash.slice(1))) {
    try {
      const given = key === "text" || key === "pair" ? value : JSON.parse(value);
      if (isOurs(key, given)) found[key] = given;
    } catch {
      continue; // a link that was cut off
    }
  }
  return found;
}

export const isOff = (layer, head) =>
  state.layers_off.includes(layer) || state.heads_off.some(([l, h]) => l === layer && h === head);

export const toggled = (list, item) => (list.includes(item) ? list.filter((x) => x !== item) : [...list, item]);

export function toggledHead(layer, head) {
  const others = state.heads_off.filter(([l, h]) => l !== layer || h !== head);
  return others.length < state.heads_off.length ? others : [...others, [layer, head]];
}
