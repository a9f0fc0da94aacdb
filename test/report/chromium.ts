// A page in a headless browser: what its document is after its scripts have run, and a picture of it.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Looks for what sticks out or lies over its neighbour, and leaves what it found in the document. */
const measuring = `<script>
const root = document.documentElement;
const inside = (element) => !element.closest(".scroll") || element.matches(".scroll");
const label = (element) => element.tagName + "." + (element.className.baseVal ?? element.className) + " " + element.textContent.slice(0, 40);
const wide = [...document.body.querySelectorAll("*")].filter((element) => inside(element) && element.getBoundingClientRect().right > root.clientWidth + 1);
const meets = (one, other) => one.left + 2 < other.right && other.left + 2 < one.right && one.top + 3 < other.bottom && other.top + 3 < one.bottom;
const overlaps = [];
const compare = (elements) => elements.forEach((element, index) => elements.slice(index + 1).forEach((other) => {
  if (meets(element.getBoundingClientRect(), other.getBoundingClientRect())) overlaps.push(label(element) + " / " + label(other));
}));
for (const parent of document.querySelectorAll(".tiles, .cards, nav, main, header p")) compare([...parent.children]);
for (const svg of document.querySelectorAll("[data-chart] svg")) compare([...svg.querySelectorAll("text")]);
const cut = [...document.querySelectorAll("[data-chart] svg")].flatMap((svg) => [...svg.querySelectorAll("text")].filter((text) => {
  const [own, all] = [text.getBoundingClientRect(), svg.getBoundingClientRect()];
  return own.left < all.left - 1 || own.right > all.right + 1 || own.top < all.top - 1 || own.bottom > all.bottom + 1;
}));
root.dataset.measured = JSON.stringify({
  innerWidth, scrollWidth: root.scrollWidth, wide: wide.map(label), overlaps, cut: cut.map((text) => text.closest("[data-chart]").dataset.chart + " " + text.textContent),
});
</script>`;

export interface Measured {
  readonly innerWidth: number;
  readonly scrollWidth: number;
  /** beyond the right edge */
  readonly wide: readonly string[];
  readonly overlaps: readonly string[];
  /** words that a picture cuts off */
  readonly cut: readonly string[];
}

export interface Rendered {
  readonly dom: string;
  readonly error: string | undefined;
  readonly measured: Measured | undefined;
}

export function render(html: string, width: number): Rendered {
  // The last "</body>": echarts has one in a string.
  const end = html.lastIndexOf("</body>");
  const dom = browse(html.slice(0, end) + measuring + html.slice(end), width, () => ["--dump-dom"]).stdout;
  const measured = attribute(dom, "measured");
  return { dom, error: attribute(dom, "error"), measured: measured === undefined ? undefined : JSON.parse(measured) as Measured };
}

export function screenshot(html: string, width: number): Buffer {
  return browse(html, width, (folder) => [`--screenshot=${join(folder, "page.png")}`]).picture!;
}

/** No window is narrower than 500 pixels, a frame is. In the end its document takes the place of the one around it. */
function frame(width: number): string {
  return `<!doctype html><body style="margin: 0"><iframe src="page.html" style="border: 0; width: ${width}px; height: 1600px"></iframe><script>
const frame = document.querySelector("iframe");
frame.onload = () => document.replaceChild(document.importNode(frame.contentDocument.documentElement, true), document.documentElement);
</script>`;
}

function browse(html: string, width: number, how: (folder: string) => string[]): { stdout: string; picture?: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), "swapfs-page-"));
  try {
    const page = join(folder, "page.html");
    writeFileSync(page, html);
    writeFileSync(join(folder, "frame.html"), frame(width));
    const asked = how(folder);
    const opened = asked[0] === "--dump-dom" ? join(folder, "frame.html") : page;
    const stdout = execFileSync("chromium", [
      "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", `--user-data-dir=${join(folder, "profile")}`,
      `--window-size=${width},1600`, "--virtual-time-budget=5000", "--allow-file-access-from-files", ...asked, `file://${opened}`,
    ], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], maxBuffer: 2 ** 26, timeout: 100_000 });
    return asked[0] === "--dump-dom" ? { stdout } : { stdout, picture: readFileSync(join(folder, "page.png")) };
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function attribute(dom: string, name: string): string | undefined {
  const found = new RegExp(`<html[^>]* data-${name}="([^"]*)"`).exec(dom)?.[1];
  return found?.replaceAll("&quot;", '"').replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}
