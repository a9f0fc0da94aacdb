// The top of the page: how many bounds are met, and the figure of each kind that is nearest to its bound.

import { boundText } from "./bound";
import { escapeHtml } from "./charts/drawing";
import type { BenchReport } from "./model";
import { factorText, short } from "./numbers";
import { kindsOf, kindWho, tallyText, verdictsOf, type Kind } from "./verdict";

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
