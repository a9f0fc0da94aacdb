// The page's script in one piece: echarts, and our compiled modules behind a `require` of five lines.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const entry = join(__dirname, "page", "main.js");

/** Shows on the page itself what went wrong there, for a person and for a test. */
const complain = `addEventListener("error", (event) => {
  document.documentElement.dataset.error = event.message;
});`;

export function pageScripts(): string[] {
  return [complain, readFileSync(require.resolve("echarts/dist/echarts.min.js"), "utf8"), modules()].map(insideScript);
}

function modules(): string {
  const sources = collect(entry, new Map());
  const definitions = [...sources].map(([file, text]) =>
    `${JSON.stringify(file)}: function (exports, require) {\n${text}\n}`);
  return `(() => {
const files = {${definitions.join(",\n")}};
const loaded = {};
const load = (file) => {
  if (loaded[file]) return loaded[file];
  const exports = loaded[file] = {};
  files[file](exports, (to) => load(new URL(to, "file:///" + file).pathname.slice(1)));
  return exports;
};
load("page/main");
})();`;
}

/** `file` and all that it requires, by their names below this folder, without ".js". */
function collect(file: string, found: Map<string, string>): Map<string, string> {
  const name = file.slice(__dirname.length + 1, -".js".length);
  if (found.has(name)) return found;
  const text = readFileSync(file, "utf8").replace(/^\/\/# sourceMappingURL=.*$/m, "");
  found.set(name, text);
  for (const [, to] of text.matchAll(/\brequire\("(\.[^"]+)"\)/g)) collect(`${join(dirname(file), to!)}.js`, found);
  return found;
}

/** The parser of HTML ends a script at the first "</script", wherever it stands; "<!--" begins a state of its own. */
function insideScript(text: string): string {
  return text.replace(/<\/(?=script)/gi, "<\\/").replace(/<!--/g, "<\\!--");
}
