// Runs in the reader's browser: draws the pictures of the report that stands in the page as JSON.

import { heatHeight, heatOption } from "../charts/ablation";
import { barsHeight, barsOption } from "../charts/bars";
import type { ChartOption, Frame } from "../charts/drawing";
import { latencyHeight, latencyOption } from "../charts/latency";
import { coloursOf, dark, light } from "../charts/palette";
import { facetsOf } from "../facets";
import type { BenchReport, GroupName } from "../model";

interface Chart {
  setOption(option: ChartOption, notMerge: boolean): void;
  resize(size: { width: number; height: number }): void;
}
declare const echarts: { init(element: HTMLElement, theme: undefined, options: { renderer: "svg"; width: number; height: number }): Chart };

interface Picture {
  readonly height: (frame: Frame) => number;
  readonly option: (frame: Frame) => ChartOption;
}

const report = JSON.parse(document.getElementById("report")!.textContent) as BenchReport;
const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
const hidden = new Set<string>();
const charts = new Map<HTMLElement, Chart>();
let printing = false;

function frameFor(width: number): Frame {
  const theme = prefersDark.matches && !printing ? dark : light;
  return { theme, contenders: report.contenders, colours: coloursOf(report.contenders, theme), hidden, width };
}

/** What belongs into an element: `data-chart` says the kind, the rest which part of the report. */
function pictureFor({ chart, group, index }: DOMStringMap): Picture {
  switch (chart) {
    case "bars": {
      const facet = facetsOf(report.rows, group as GroupName)[Number(index)]!;
      return { height: (frame) => barsHeight(facet, frame), option: (frame) => barsOption(facet, frame) };
    }
    case "latency": {
      const chosen = report.rows[Number(document.querySelector<HTMLSelectElement>("#latency-row")!.value)]!;
      return { height: latencyHeight, option: (frame) => latencyOption(chosen, frame) };
    }
    default:
      return { height: () => heatHeight(report.ablation!), option: (frame) => heatOption(report.ablation!, frame) };
  }
}

function draw(element: HTMLElement): void {
  const width = Math.floor(element.clientWidth);
  if (width === 0) return;
  const frame = frameFor(width);
  const picture = pictureFor(element.dataset);
  const height = picture.height(frame);
  element.style.height = `${height}px`;
  const chart = charts.get(element) ?? echarts.init(element, undefined, { renderer: "svg", width, height });
  charts.set(element, chart);
  chart.resize({ width, height });
  chart.setOption(picture.option(frame), true);
}

function drawAll(): void {
  for (const element of document.querySelectorAll<HTMLElement>("[data-chart]")) draw(element);
  paintChips();
}

function paintChips(): void {
  const { colours } = frameFor(0);
  for (const chip of document.querySelectorAll<HTMLButtonElement>("[data-contender]")) {
    const id = chip.dataset["contender"]!;
    chip.style.setProperty("--colour", colours.get(id) ?? "");
    chip.setAttribute("aria-pressed", String(!hidden.has(id)));
    chip.onclick = () => {
      if (!hidden.delete(id)) hidden.add(id);
      drawAll();
    };
  }
}

function whenWidthChanges(): void {
  let drawn = document.body.clientWidth;
  window.addEventListener("resize", () => {
    if (document.body.clientWidth === drawn) return;
    drawn = document.body.clientWidth;
    drawAll();
  });
}

function print(on: boolean): void {
  printing = on;
  for (const details of document.querySelectorAll("details")) details.open ||= on;
  drawAll();
}

document.querySelector("#latency-row")?.addEventListener("change", () => {
  for (const element of document.querySelectorAll<HTMLElement>('[data-chart="latency"]')) draw(element);
});
prefersDark.addEventListener("change", drawAll);
window.addEventListener("beforeprint", () => print(true));
window.addEventListener("afterprint", () => print(false));
whenWidthChanges();
drawAll();
document.documentElement.dataset["drawn"] = String(charts.size);
