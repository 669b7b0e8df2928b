// Colours come from the style sheet, light or dark, and go into pictures as plain values, so that these can be exported.

let cache = {};

export const forgetColors = () => (cache = {});

/** The value of a colour that the style sheet names. */
export function color(name) {
  cache[name] ??= getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  return cache[name];
}

const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

/** A colour for a share from 0 to 1. Its lightness goes one way only, so that the order stays in grey. */
export function ramp(share) {
  cache.stops ??= [0, 1, 2, 3, 4, 5].map((i) => channels(color(`ramp-${i}`)));
  const place = Math.min(1, Math.max(0, share)) * (cache.stops.length - 1);
  const low = Math.min(Math.floor(place), cache.stops.length - 2);
  return cache.stops[low].map((x, i) => Math.round(x + (cache.stops[low + 1][i] - x) * (place - low)));
}

export const rampColor = (share) => `rgb(${ramp(share).join(" ")})`;
