// All heads of all layers as small maps. One is chosen, to be seen from near; heads and layers can be switched off.

import { color, ramp } from "./colors.js";
import { html, picture, refill, svg, toggle, words } from "./dom.js";
import { change, isOff, state, toggled, toggledHead } from "./state.js";
import { station } from "./station.js";
import { t } from "./text.js";

export function buildMaps({ stations, model }) {
  let found = null;
  const { section, body } = station("attention", 3, stations, [], () => asPicture(body, found, model));
  const grid = html("div", {
    class: "maps",
    role: "grid",
    "aria-label": t("attention.grid"),
    onkeydown: (event) => onKey(event, model),
  });
  const tools = html("div", { class: "row" });
  body.append(grid, tools);
  let drawn = null; // the numbers that the canvases show
  const update = (latest, redraw) => {
    found = latest;
    if (drawn !== found.attentions || redraw) {
      const beside = matchMedia("(max-width: 760px)").matches ? 6 : 96; // where the names of layers stand
      refill(grid, ...rowsOf(found, model, (body.clientWidth || 800) - beside));
      drawn = found.attentions;
    }
    mark(grid);
    const isAnyOff = state.heads_off.length + state.layers_off.length > 0;
    const all = html(
      "button",
      {
        type: "button",
        disabled: !isAnyOff,
        onclick: () => change({ heads_off: [], layers_off: [] }),
        "data-key": "all-on",
      },
      t("attention.all_on"),
    );
    refill(tools, all, html("span", { class: "quiet" }, t("attention.hint")));
  };
  return { section, body, update };
}

function rowsOf({ attentions }, model, space) {
  const width = Math.min(150, Math.max(26, Math.floor(space / model.heads) - 6)); // more than fit can be scrolled to
  return attentions.map((heads, layer) => {
    const cells = heads.map((weights, head) => {
      const canvas = html("canvas", { width: weights.length, height: weights.length, "aria-hidden": "true" });
      paint(canvas, weights);
      const options = {
        type: "button",
        class: "map",
        role: "gridcell",
        "data-layer": layer,
        "data-head": head,
        "data-key": `map-${layer}-${head}`,
      };
      const click = (event) =>
        event.shiftKey ? change({ heads_off: toggledHead(layer, head) }) : change({ layer, head });
      const button = html(
        "button",
        { ...options, onclick: click, "data-tip": t("attention.head", { layer, head }) },
        canvas,
      );
      button.style.setProperty("--size", `${width}px`);
      return button;
    });
    const flip = () => change({ layers_off: toggled(state.layers_off, layer) });
    const label = toggle(t("attention.layer", { layer }), false, flip, {
      class: "layer small",
      "data-layer-switch": layer,
      "data-key": `layer-${layer}`,
    });
    return html("div", { class: "maps-row", role: "row" }, label, html("div", { class: "maps-cells" }, ...cells));
  });
}

/** A pixel for each weight; the darkest is the map's largest. */
function paint(canvas, weights) {
  const context = canvas.getContext("2d");
  const size = weights.length;
  const image = context.createImageData(size, size);
  const most = Math.max(...weights.flat());
  weights.forEach((row, i) =>
    row.forEach((weight, j) => image.data.set([...ramp(weight / most), 255], 4 * (i * size + j))),
  );
  context.putImageData(image, 0, 0);
}

function mark(grid) {
  for (const button of grid.querySelectorAll(".map")) {
    const [layer, head] = [Number(button.dataset.layer), Number(button.dataset.head)];
    const isChosen = layer === state.layer && head === state.head;
    button.classList.toggle("off", isOff(layer, head));
    button.classList.toggle("chosen", isChosen);
    button.tabIndex = isChosen ? 0 : -1;
    const off = isOff(layer, head) ? `, ${t("attention.off")}` : "";
    button.setAttribute("aria-label", t("attention.head", { layer, head }) + off);
    button.setAttribute("aria-selected", String(isChosen));
  }
  for (const button of grid.querySelectorAll("[data-layer-switch]")) {
    const isLayerOff = state.layers_off.includes(Number(button.dataset.layerSwitch));
    button.setAttribute("aria-pressed", String(isLayerOff));
    button.title = t(isLayerOff ? "attention.layer_on" : "attention.layer_off");
  }
}

function onKey(event, model) {
  if (!event.target.classList.contains("map")) return;
  const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  if (event.key.toLowerCase() === "x") return change({ heads_off: toggledHead(state.layer, state.head) });
  if (!(event.key in steps)) return;
  event.preventDefault();
  const [down, right] = steps[event.key];
  const layer = Math.min(model.layers - 1, Math.max(0, state.layer + down));
  const head = Math.min(model.heads - 1, Math.max(0, state.head + right));
  change({ layer, head });
  document.querySelector(`[data-key="map-${layer}-${head}"]`)?.focus();
}

function asPicture(body, found, model) {
  const side = 64;
  const canvases = [...body.querySelectorAll(".map")];
  const images = canvases.map((button) => {
    const [layer, head] = [Number(button.dataset.layer), Number(button.dataset.head)];
    const place = { x: 70 + head * (side + 8), y: 30 + layer * (side + 8), width: side, height: side };
    const href = button.querySelector("canvas").toDataURL();
    const map = svg("image", {
      ...place,
      href,
      opacity: isOff(layer, head) ? 0.25 : 1,
      style: "image-rendering: pixelated",
    });
    const edge = svg("rect", { ...place, fill: "none", stroke: color("line") });
    return svg("g", {}, map, edge);
  });
  const layers = Array.from({ length: model.layers }, (_, layer) =>
    words(60, 30 + layer * (side + 8) + side / 2, t("attention.layer", { layer }), color("ink-2"), "end"),
  );
  const heads = Array.from({ length: model.heads }, (_, head) =>
    words(70 + head * (side + 8) + side / 2, 14, String(head), color("ink-2"), "middle"),
  );
  return picture(
    70 + model.heads * (side + 8),
    30 + model.layers * (side + 8),
    t("attention.grid"),
    ...images,
    ...layers,
    ...heads,
  );
}
