// Elements in one call each, and numbers as people read them.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style")
      node.style.cssText = value; // as an attribute, the page's own policy forbids it
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export const html = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS(SVG, tag), attributes, children);
export const byId = (id) => document.getElementById(id);

/** An SVG picture of so many pixels, with a text for those who cannot see it. */
export function picture(width, height, label, ...children) {
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  const font = { "font-family": "system-ui, sans-serif", "font-size": 13 };
  return svg("svg", { ...size, ...font, xmlns: SVG, role: "img", "aria-label": label }, ...children);
}

/** Text at a point. `anchor`: start, middle or end. */
export function words(x, y, text, fill, anchor = "start", more = {}) {
  return svg("text", { x, y, fill, "text-anchor": anchor, "dominant-baseline": "central", ...more }, text);
}

export const percent = (p) =>
  p >= 0.0995 ? `${(100 * p).toFixed(0)} %` : p >= 0.001 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %";
export const signed = (x, digits = 2) => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(digits);

/** A button that is on or off. */
export function toggle(label, isOn, onclick, more = {}) {
  return html("button", { type: "button", "aria-pressed": String(isOn), onclick, ...more }, label);
}

/** Replace what is in `node`, and keep the keyboard where it was: on the child with the same data-key. */
export function refill(node, ...children) {
  const key = node.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  node.replaceChildren(...children.flat().filter((child) => child !== null));
  if (key) node.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}
