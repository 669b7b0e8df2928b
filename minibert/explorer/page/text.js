// The page's words, in one file for each language.

import * as api from "./api.js";

export const LANGUAGES = ["en", "zh"];
let table = {};
export let language = "en";

export async function useLanguage(name) {
  table = await api.strings(name);
  language = name;
  document.documentElement.lang = name === "zh" ? "zh-CN" : name;
}

/** The text called `key`, with {names} replaced. */
export function t(key, values = {}) {
  if (!(key in table)) throw new Error(`strings.${language}.json has no ${key}`);
  return table[key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
