// The table in docs/performance.md: of each kind of bound the row that is nearest to it, or furthest beyond it.

import { boundText } from "./bound";
import type { BenchReport, Row } from "./model";
import { medians, short, spread } from "./numbers";
import { kindsOf, nameOf, tallyText, type Kind } from "./verdict";

export function renderTable(report: BenchReport): string {
  const { identity, device, rounds } = report;
  const rows = kindsOf(report).map((kind) => line(report, kind));
  return `${[
    `swapfs ${identity.commit}, ${identity.date}, Linux ${identity.kernel}, ${identity.cpus} x ${identity.cpu}, on ${device}; ${medians(rounds)}. Of each kind`,
    "of bound the row that is nearest to it, or furthest beyond it.",
    "",
    "| row | ours | beside | ratio (min to max) | bound | |",
    "|---|---|---|---|---|---|",
    ...rows.map((cells) => `| ${cells.map(escapeCell).join(" | ")} |`),
  ].join("\n")}\n`;
}

function line(report: BenchReport, kind: Kind): string[] {
  const { worst, count, met } = kind;
  const { group, row, contender, against, spread: found, bound } = worst;
  const name = (id: string): string => `${nameOf(report, id)} ${valueOf(row, id)}`.trim();
  const tally = met === count ? tallyText(kind) : `**${tallyText(kind)}**`;
  return [`${group}: ${row.name}`, count > 1 && against === undefined ? `each contender, at worst ${valueOf(row, contender)}` : name(contender), against === undefined ? "" : name(against), against === undefined ? "" : spread(found), boundText(bound), tally];
}

function valueOf({ cells, unit }: Row, id: string): string {
  const summary = cells.find(({ contender }) => contender === id)?.summary;
  return summary ? `${short(summary.median)} ${unit}`.trim() : "";
}

/** A table has no other way to hold a bar or a tag. */
function escapeCell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}
