// The page of a report in a real browser: every picture is drawn, whole, and says what the report says.

import { escapeHtml } from "#src/report/charts/drawing";
import { coloursOf, light } from "#src/report/charts/palette";
import { facetsOf } from "#src/report/facets";
import { renderHtml } from "#src/report/html";
import type { GroupName, Row } from "#src/report/model";
import { verdictsOf } from "#src/report/verdict";
import { render, screenshot, type Rendered } from "./chromium";
import { report } from "./fixture";

jest.setTimeout(240_000);

const html = renderHtml(report);
const colours = coloursOf(report.contenders, light);
let page: Rendered;
let narrow: Rendered;

beforeAll(() => {
  page = render(html, 1280);
  narrow = render(html, 400);
});

interface Picture { readonly kind: string; readonly attributes: string; readonly svg: string }

function picturesOf(dom: string): Picture[] {
  return [...dom.matchAll(/<div (data-chart="(\w+)"[^>]*)>(.*?)<\/svg>/gs)].map(([, attributes, kind, content]) => ({ kind: kind!, attributes: attributes!, svg: content! }));
}

function count(text: string, pattern: RegExp | string): number {
  return typeof pattern === "string" ? text.split(pattern).length - 1 : [...text.matchAll(pattern)].length;
}

const whiskers = (svg: string): number => count(svg, `stroke="${light.whisker}"`);
const measuredCells = (rows: readonly Row[]): Row["cells"] => rows.flatMap(({ cells }) => cells.filter(({ summary }) => summary));
const barsIn = (svg: string): number => [...new Set(colours.values())].reduce((sum, colour) => sum + count(svg, new RegExp(`<path [^>]*fill="${colour}"`, "g")), 0);

test("no script failed, and every place for a picture has one", () => {
  for (const { dom, error } of [page, narrow]) {
    expect(error).toBeUndefined();
    const places = count(dom, "<div data-chart=");
    expect(places).toBeGreaterThan(15);
    expect(dom).toMatch(new RegExp(`<html[^>]* data-drawn="${places}"`));
    expect(picturesOf(dom).filter(({ svg }) => count(svg, "<path") > 3)).toHaveLength(places);
  }
});

test("bars: one for each cell with its whisker, a word for each refused cell", () => {
  const pictures = picturesOf(page.dom).filter(({ kind }) => kind === "bars");
  const facets = (["swap", "io", "activate", "metadata", "memory"] as GroupName[]).flatMap((group) => facetsOf(report.rows, group));
  expect(pictures).toHaveLength(facets.length);
  facets.forEach(({ rows }, index) => {
    const { svg } = pictures[index]!;
    const own = rows.map(({ row }) => row);
    const cells = measuredCells(own).map(({ summary }) => summary!);
    expect(barsIn(svg)).toBe(cells.length);
    expect(whiskers(svg)).toBe(cells.filter(({ min, max }) => min < max).length);
    expect(count(svg, "✕ refused")).toBe(own.flatMap((row) => row.cells).length - cells.length);
    for (const { label } of rows) expect(svg).toContain(escapeHtml(label));
  });
});

test("latency: a curve for each contender of the chosen row", () => {
  const { svg } = picturesOf(page.dom).find(({ kind }) => kind === "latency")!;
  const chosen = report.rows.find(({ cells }) => cells.some(({ latency }) => latency))!;
  for (const { contender } of chosen.cells) expect(count(svg, new RegExp(`fill="none" stroke="${colours.get(contender)}"`, "g"))).toBe(1);
  expect(svg).toContain("99.99 %");
  const choices = count(page.dom, "<option");
  expect(choices).toBe(report.rows.filter(({ cells }) => cells.some(({ latency }) => latency)).length);
});

test("activation: bars for each size of a file", () => {
  expect(facetsOf(report.rows, "activate").map(({ title }) => title)).toEqual(["swapon of 1 GiB", "swapon of 4 GiB", "swapon of 16 GiB"]);
});

test("ablation: three cells of the heat map for each step", () => {
  const { svg } = picturesOf(page.dom).find(({ kind }) => kind === "heat")!;
  expect(count(svg, new RegExp(`<path [^>]*stroke="${light.panel}" stroke-width="3"`, "g"))).toBe(3 * report.ablation!.steps.length);
});

test("every row, bound, refusal and step stands in the tables", () => {
  const text = page.dom.replace(/<script[\s\S]*?<\/script>/g, "");
  for (const { name, cells } of report.rows) {
    expect(text).toContain(`<th scope="row">${escapeText(name)}</th>`);
    for (const { refused } of cells) if (refused !== undefined) expect(text).toContain(escapeText(refused));
  }
  expect(count(text, '<span class="yes">') + count(text, '<span class="no">✕')).toBe(verdictsOf(report).length);
  for (const step of report.ablation!.steps) for (const part of [step.name, step.switch, step.kernelStep]) expect(text).toContain(escapeText(part));
});

/** As a browser writes text, which leaves quotes alone. */
function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

test.each([1280, 400])("at %i pixels nothing sticks out, nothing lies over anything, no word is cut", (width) => {
  const { measured } = width === 1280 ? page : narrow;
  expect(measured).toEqual({ innerWidth: width, scrollWidth: width, wide: [], overlaps: [], cut: [] });
});

test("a script that fails is noticed", () => {
  expect(render(html.replace('{"format"', '{"format'), 1280).error).toMatch(/JSON/);
});

test("it asks for nothing from elsewhere", () => {
  const own = html.replace(/<script[\s\S]*?<\/script>/g, "");
  expect(own).not.toMatch(/(src|href)="(?!data:)|url\(|@import/);
});

test("a picture of the page is no empty page", () => {
  const png = screenshot(html, 1280);
  expect(png.subarray(1, 4).toString()).toBe("PNG");
  expect(png.readUInt32BE(16)).toBe(1280);
  expect(png.length).toBeGreaterThan(60_000);
});

test("rows of the ablation stand in its one section, also without its table", () => {
  const row: Row = { ...report.rows[0]!, group: "ablation", name: "depth 32" };
  const { ablation, ...without } = report;
  for (const each of [{ ...report, rows: [...report.rows, row] }, { ...without, rows: [row] }]) {
    const made = renderHtml(each);
    expect(count(made, '<section id="ablation"')).toBe(1);
    expect(made).toContain('data-group="ablation"');
  }
  expect(renderHtml({ ...without, rows: [] })).not.toContain('<section id="ablation"');
  expect(ablation).toBeDefined();
});
