// The frame that every station has: number, title, explanation, body, and behind it the equation and the source.

import { html } from "./dom.js";
import { EQUATIONS } from "./equations.js";
import { saveButtons } from "./keep.js";
import { language, t } from "./text.js";

/** A section with an empty `body`; `sources` names the entries of `stations` (from the server) that it shows. */
export function station(name, number, stations, sources, draw) {
  const body = html("div", { class: "body" });
  const save = draw ? saveButtons(`minibert-${name}`, draw) : null;
  const section = html(
    "section",
    { class: "station", id: name, "aria-labelledby": `${name}-title` },
    html(
      "div",
      { class: "head" },
      html("span", { class: "number" }, number),
      html("h2", { id: `${name}-title` }, t(`${name}.title`)),
      save,
    ),
    html("p", { class: "lead" }, t(`${name}.lead`)),
    body,
    ...sources.map((source) => behind(source, stations[source])),
  );
  return { section, body };
}

function behind(name, { snippets, chapter, has_course }) {
  const equations = html("div", { class: "equations" });
  equations.innerHTML = EQUATIONS[name].join(""); // constants of ours
  const file = language === "zh" ? `zh/${chapter}` : chapter;
  const heading = t(`course.${name}`);
  const place = `${file} · ${heading}`;
  const address = `/explorer/course/${file}#:~:text=${encodeURIComponent(heading)}`;
  const link = has_course
    ? html("a", { href: address, target: "_blank", rel: "noopener" }, place)
    : html("span", {}, place);
  return html(
    "details",
    { class: "behind" },
    html("summary", {}, t(`behind.${name}`)),
    equations,
    ...snippets.map(snippet),
    html("p", { class: "quiet" }, t(has_course ? "behind.course" : "behind.course_elsewhere"), " ", link),
  );
}

function snippet({ file, name, first_line, lines }) {
  const rows = lines.map(([text, matters], i) =>
    html(
      "span",
      { class: matters ? "line matters" : "line" },
      html("span", { class: "line-number", "aria-hidden": "true" }, first_line + i),
      text + "\n",
    ),
  );
  return html(
    "figure",
    { class: "code" },
    html("figcaption", {}, html("code", {}, name), ` · ${file}:${first_line}`),
    html("pre", { tabindex: 0 }, html("code", {}, ...rows)),
  );
}
