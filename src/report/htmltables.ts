// The report's tables: what a picture cannot say to everybody, and what was refused. And the top of the page: how many bounds are met,
// and the figure of each kind that is nearest to its bound.

import { boundText } from "./bound";
import { shareOf } from "./charts/ablation";
import { escapeHtml } from "./charts/drawing";
import { groupNames, type Ablation, type BenchReport, type Row } from "./model";
import { short, spread, factorText } from "./numbers";
import { nameOf, verdictsOf, whoText, kindsOf, kindWho, tallyText, type Kind } from "./verdict";

type TableCell = string | { readonly html: string };

export function boundsTable(report: BenchReport): string {
  const verdicts = verdictsOf(report);
  if (verdicts.length === 0) return "";
  const rows = verdicts.map((verdict) => [
    verdict.group, verdict.row.name, whoText(report, verdict),
    spread(verdict.spread), boundText(verdict.bound),
    { html: verdict.met ? '<span class="yes">✓ met</span>' : '<span class="no">✕ MISSED</span>' },
  ]);
  return `<section id="bounds"><h2>Every bound</h2><article class="card">${
    table("Bounds", ["group", "row", "what", "found (min to max)", "bound", ""], rows)}</article></section>`;
}

export function ablationTable(ablation: Ablation): string {
  const { base, steps, whole } = ablation;
  const rows = steps.map((step) => [
    step.name, step.switch, spread(step.added), `${(shareOf(step, ablation) * 100).toFixed(0)} %`, spread(step.withStep), step.kernelStep,
  ]);
  return table("Ablation", ["step", "how it was switched on", "us a page added", "share", "us a page, whole", "the kernel's own filesystems"],
    [["none: the bare path", "", "", "", spread(base), ""], ...rows, ...(whole ? [["everything at once", "", "", "", spread(whole), ""]] : [])]);
}

export function dataTables(report: BenchReport): string {
  const parts = groupNames.flatMap((group) => {
    const rows = report.rows.filter((row) => row.group === group);
    return rows.length === 0 ? [] : [`<details><summary>${group}: ${rows.length} row${rows.length === 1 ? "" : "s"}</summary>${groupTable(report, rows)}</details>`];
  });
  return `<section id="data"><h2>Every figure</h2><article class="card">${parts.join("")}</article></section>`;
}

/** Columns are the contenders of these rows. */
function groupTable(report: BenchReport, rows: readonly Row[]): string {
  const ids = report.contenders.map(({ id }) => id).filter((id) => rows.some(({ cells }) => cells.some(({ contender }) => contender === id)));
  const body = rows.map((row) => [row.name, row.unit, ...ids.map((id) => figure(row, id))]);
  return table(rows[0]!.group, ["row", "unit", ...ids.map((id) => nameOf(report, id))], body);
}

function figure({ cells }: Row, id: string): TableCell {
  const cell = cells.find(({ contender }) => contender === id);
  if (!cell) return "";
  if (!cell.summary) return { html: `<span class="no">refused</span>: ${escapeHtml(cell.refused ?? "")}` };
  const { median, min, max } = cell.summary;
  return { html: `<b>${short(median)}</b>${min === max ? "" : ` <small>${short(min)} to ${short(max)}</small>`}` };
}

function table(caption: string, head: readonly string[], rows: readonly (readonly TableCell[])[]): string {
  const cell = (content: TableCell, column: number): string => {
    const html = typeof content === "string" ? escapeHtml(content) : content.html;
    return column === 0 ? `<th scope="row">${html}</th>` : `<td>${html}</td>`;
  };
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escapeHtml(caption)}"><table><thead><tr>${
    head.map((text) => `<th scope="col">${escapeHtml(text)}</th>`).join("")}</tr></thead><tbody>${
    rows.map((row) => `<tr>${row.map(cell).join("")}</tr>`).join("\n")}</tbody></table></div>`;
}

export function tiles(report: BenchReport): string {
  const verdicts = verdictsOf(report);
  if (verdicts.length === 0) return "";
  const met = verdicts.filter((verdict) => verdict.met).length;
  return `<div class="tiles">${ring(met, verdicts.length)}${kindsOf(report).map((kind) => tile(report, kind)).join("")}</div>`;
}

function ring(met: number, count: number): string {
  const around = 2 * Math.PI * 42;
  const missed = count - met;
  return `<article class="tile verdict"><svg viewBox="0 0 100 100" role="img" aria-label="${met} of ${count} bounds met">
<circle cx="50" cy="50" r="42" class="track${missed > 0 ? " missed" : ""}"/>
<circle cx="50" cy="50" r="42" class="arc" stroke-dasharray="${((around * met) / count).toFixed(1)} ${around.toFixed(1)}" transform="rotate(-90 50 50)"/>
<text x="50" y="57">${Math.floor((100 * met) / count)} %</text></svg>
<div><b>${met} of ${count}</b><span>bounds met${missed > 0 ? `, ${missed} missed` : ""}</span></div></article>`;
}

function tile(report: BenchReport, kind: Kind): string {
  const { worst, count, met } = kind;
  const figure = worst.against === undefined ? `${short(worst.found)} ${worst.row.unit}`.trim() : factorText(worst.found, worst.row.better);
  const all = met === count;
  return `<article class="tile ${all ? "met" : "missed"}"><b>${escapeHtml(figure)}</b>
<span>${escapeHtml(kindWho(report, kind))}</span><small>${escapeHtml(`${worst.group}: ${worst.row.name}`)}</small>
<em>${escapeHtml(`${boundText(worst.bound)}: ${tallyText(kind)}`)}</em></article>`;
}
