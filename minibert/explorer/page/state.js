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

/** The whole state that an address stands for; what is none of ours, or no number where one should be, is left out. */
export function fromHash(hash) {
  const found = { ...START };
  for (const [key, value] of new URLSearchParams(hash.slice(1))) {
    if (!(key in START)) continue;
    if (key === "text" || key === "pair") found[key] = value;
    else {
      try {
        const given = JSON.parse(value);
        if (!["layer", "head", "piece"].includes(key) || (Number.isInteger(given) && given >= 0)) found[key] = given;
      } catch {
        continue; // a link that was cut off
      }
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
