// A picture as a file: SVG as it is, PNG at twice the size.

import { html } from "./dom.js";
import { color } from "./colors.js";
import { t } from "./text.js";

function save(blob, name) {
  const address = URL.createObjectURL(blob);
  html("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function source(picture) {
  const copy = picture.cloneNode(true);
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ width: "100%", height: "100%", fill: color("surface") }))
    ground.setAttribute(name, value);
  copy.prepend(ground);
  return new XMLSerializer().serializeToString(copy);
}

function toPng(picture, name) {
  const image = new Image();
  const { width, height } = picture.viewBox.baseVal;
  image.onload = () => {
    const canvas = html("canvas", { width: 2 * width, height: 2 * height });
    canvas.getContext("2d").drawImage(image, 0, 0, 2 * width, 2 * height);
    canvas.toBlob((blob) => save(blob, `${name}.png`));
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(source(picture));
}

/** Two buttons that save what `draw` gives: an SVG element, made when it is wanted. */
export function saveButtons(name, draw) {
  const svg = () => save(new Blob([source(draw())], { type: "image/svg+xml" }), `${name}.svg`);
  return html(
    "span",
    { class: "save" },
    html("button", { type: "button", class: "small", onclick: svg, title: t("save.svg") }, "SVG"),
    html("button", { type: "button", class: "small", onclick: () => toPng(draw(), name), title: t("save.png") }, "PNG"),
  );
}
