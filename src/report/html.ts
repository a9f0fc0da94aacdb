// The report as one page that needs nothing else: tables are in it, pictures are drawn by its script.

import { pageScripts } from "./bundle";
import { escapeHtml } from "./charts/drawing";
import { hasLatency } from "./charts/latency";
import { facetsOf } from "./facets";
import { ablationTable, boundsTable, dataTables, tiles } from "./htmltables";
import type { BenchReport, GroupName, Identity } from "./model";
import { style } from "./style";

const titles: Readonly<Record<GroupName, readonly [title: string, lead: string]>> = {
  swap: ["Swap", "A program that is larger than its memory, on a swap area of each kind. Bars are medians, whiskers go from the least to the most."],
  io: ["Reads and writes", "Through an activated file, beside the device below and its other users."],
  activate: ["Activation", "What swapon costs for each page of the file, when the file lies in one piece and when it lies in many."],
  extents: ["Number of extents", "The same work on files of the same length in one piece and in many: nothing may grow faster than the logarithm of their number."],
  metadata: ["Metadata", "Many files: made, found, renamed, removed, mounted, written to the checkpoint."],
  memory: ["Memory", "What is locked and what is resident."],
  ablation: ["What each step of a write costs", "Each step of an ordinary write, switched on alone on the bare path of an activated file."],
};

export function renderHtml(report: BenchReport): string {
  const { identity } = report;
  const sections = [...groupSections(report), ablationSection(report), boundsTable(report), dataTables(report)];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>swapfs ${escapeHtml(identity.commit)}: benchmark</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
${header(report)}
<main>
${tiles(report)}
${chips(report)}
${sections.join("\n")}
</main>
<footer>Made by swapfs bench. Bars are medians, whiskers go from the least to the most of ${report.rounds} round${report.rounds === 1 ? "" : "s"} in which the contenders took turns; ratios are medians of each round's ratio.</footer>
<script id="report" type="application/json">${insideJson(report)}</script>
${pageScripts().map((text) => `<script>${text}</script>`).join("\n")}
</body>
</html>
`;
}

/** In JSON "<" stands only in strings, where it may be escaped. */
function insideJson(report: BenchReport): string {
  return JSON.stringify(report).replaceAll("<", "\\u003c");
}

function header({ identity, device, rounds }: BenchReport): string {
  const facts = [identity.date, `commit ${identity.commit}`, `Linux ${identity.kernel}`, machine(identity), `on ${device}`, `${rounds} round${rounds === 1 ? "" : "s"}`];
  return `<header><h1>swapfs <span>beside everything else</span></h1><p>${facts.map((fact) => `<span>${escapeHtml(fact)}</span>`).join("")}</p></header>`;
}

function machine({ cpu, cpus, memoryBytes }: Identity): string {
  return `${cpus} × ${cpu}${memoryBytes > 0 ? `, ${(memoryBytes / 2 ** 30).toFixed(1)} GiB` : ""}`;
}

function chips({ contenders }: BenchReport): string {
  const buttons = contenders.map(({ id, name, ours }) =>
    `<button type="button" data-contender="${escapeHtml(id)}" aria-pressed="true"${ours ? ' class="ours"' : ""}>${escapeHtml(name)}</button>`);
  return `<nav aria-label="Contenders shown">${buttons.join("")}</nav>`;
}

function groupSections(report: BenchReport): string[] {
  return (Object.keys(titles) as GroupName[])
    .filter((group) => group !== "ablation" && report.rows.some((row) => row.group === group))
    .map((group) => section(group, [...bars(report, group), ...latency(report, group)]));
}

function section(group: GroupName, cards: readonly string[]): string {
  const [title, lead] = titles[group];
  return `<section id="${group}"><h2>${title}</h2><p>${lead}</p><div class="cards">${cards.join("")}</div></section>`;
}

function bars({ rows }: BenchReport, group: GroupName): string[] {
  return facetsOf(rows, group).map(({ title }, index, all) =>
    card(title, `<div data-chart="bars" data-group="${group}" data-index="${index}"></div>`, widthOf(index, all.length)));
}

/** Two beside each other, three when there are three; nothing beside an empty place. */
function widthOf(index: number, count: number): string {
  if (count === 3) return "third";
  return count % 2 === 1 && index === count - 1 ? "whole" : "";
}

function latency({ rows }: BenchReport, group: GroupName): string[] {
  const options = rows.flatMap((row, index) => (row.group === group && hasLatency(row) ? `<option value="${index}">${escapeHtml(row.name)}</option>` : []));
  if (options.length === 0) return [];
  const choice = `<label>Latency of <select id="latency-row">${options.join("")}</select></label>`;
  return [`<article class="card whole"><h3>${choice}</h3><div data-chart="latency"></div></article>`];
}

function ablationSection(report: BenchReport): string {
  const ownRows = [...bars(report, "ablation"), ...latency(report, "ablation")];
  if (!report.ablation) return ownRows.length === 0 ? "" : section("ablation", ownRows);
  return section("ablation", [
    card("Heat: us a page and share of the whole", '<div data-chart="heat"></div>', "whole"),
    `<article class="card whole">${ablationTable(report.ablation)}</article>`,
    ...ownRows,
  ]);
}

function card(title: string, content: string, width = ""): string {
  return `<article class="card ${width}"><h3>${escapeHtml(title)}</h3>${content}</article>`;
}
