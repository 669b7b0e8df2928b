// The three questions that the page asks its server.

async function ask(path, options) {
  const response = await fetch(path, options);
  const found = await response.json();
  if (response.ok) return found;
  throw new Error(found.error ?? response.statusText);
}

const post = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export const about = () => ask("/explorer/about");
export const look = (view, before) => post("/explorer/api", { view, before });
export const oneHead = (view, layer, head) => post("/explorer/api/head", { view, layer, head });
export const strings = (language) => ask(`/explorer/page/strings.${language}.json`);
