// A benchmark's report on a terminal: rows by contenders, why a field is empty, and what the bounds came to.

import { gap, table } from "../base/table";
import { boundText } from "./bound";
import { shareOf } from "./charts/ablation";
import { groupNames, type Ablation, type BenchReport, type Contender, type GroupName, type Row } from "./model";
import { medians, short, spread } from "./numbers";
import { kindsOf, kindWho, tallyText, type Kind } from "./verdict";

/** `width` is the terminal's: what does not fit beside is shown below. */
export function reportLines(report: BenchReport, width = 100): string[] {
  const { identity, device, rounds } = report;
  return [
    `swapfs ${identity.commit}, Linux ${identity.kernel}, ${identity.cpus} x ${identity.cpu}, on ${device}; ${medians(rounds)}, of ours (min to max)`,
    ...groupNames.flatMap((group) => groupLines(report, group, width)),
    ...(report.ablation ? ["", "ablation: one step of an ordinary write at a time on the bare path", ...ablationLines(report.ablation, width)] : []),
  ];
}

function groupLines(report: BenchReport, group: GroupName, width: number): string[] {
  const rows = report.rows.filter((row) => row.group === group);
  if (rows.length === 0) return [];
  const notes = new Notes();
  const ids = new Set(rows.flatMap(({ cells }) => cells.map(({ contender }) => contender)));
  const columns = [...report.contenders].filter(({ id }) => ids.has(id)).sort((a, b) => Number(b.ours) - Number(a.ours))
    .map((contender) => columnOf(contender, rows, notes));
  const names = rows.map(rowTitle);
  const blocks = blocksOf(columns, widest(names) + gap.length, width);
  return [
    "", `${group}:`,
    ...blocks.flatMap((block, index) => [...(index > 0 ? [""] : []), ...matrix(names, block)]),
    ...notes.lines(),
    ...kindsOf({ rows }).map((kind) => boundLine(report, kind)),
  ];
}

function rowTitle({ name, unit }: Row): string {
  return unit === "" ? name : `${name}, ${unit}`;
}

type Column = Readonly<ReturnType<typeof columnOf>>;

/** A contender: its name in short lines, then a field for each row. */
function columnOf({ id, name, ours }: Contender, rows: readonly Row[], notes: Notes) {
  const fields = rows.map(({ cells }) => {
    const cell = cells.find(({ contender }) => contender === id);
    if (!cell) return "";
    if (!cell.summary) return notes.mark(`${name}: ${cell.refused ?? "not measured"}`);
    return ours ? spread(cell.summary) : short(cell.summary.median);
  });
  return { head: wrapped(name, Math.max(10, widest(fields))), fields };
}

/** The same reason is told once. */
class Notes {
  readonly #texts: string[] = [];

  mark(text: string): string {
    if (!this.#texts.includes(text)) this.#texts.push(text);
    return `[${this.#texts.indexOf(text) + 1}]`;
  }

  lines(): string[] {
    return this.#texts.map((text, index) => `  [${index + 1}] ${text}`);
  }
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** As many columns beside each other as there is room for, but always one. */
function blocksOf(columns: readonly Column[], taken: number, width: number): Column[][] {
  const blocks: Column[][] = [];
  let left = 0;
  for (const column of columns) {
    const needs = widest([...column.head, ...column.fields]) + gap.length;
    if (blocks.length === 0 || needs > left) {
      blocks.push([]);
      left = width - taken;
    }
    blocks.at(-1)!.push(column);
    left -= needs;
  }
  return blocks;
}

function matrix(names: readonly string[], block: readonly Column[]): string[] {
  const height = Math.max(...block.map(({ head }) => head.length));
  const heads = Array.from({ length: height }, (_, line) => ["", ...block.map(({ head }) => head[line - (height - head.length)] ?? "")]);
  return table([...heads, ...names.map((name, index) => [name, ...block.map(({ fields }) => fields[index]!)])]);
}

function boundLine(report: BenchReport, kind: Kind): string {
  const { worst, count } = kind;
  return `  ${tallyText(kind, "MISSED")}${count === 1 ? "" : ", at worst"}: ${kindWho(report, kind)} ${short(worst.found)}, ${boundText(worst.bound)} (${worst.row.name})`;
}

function ablationLines(ablation: Ablation, width: number): string[] {
  const { base, steps, whole } = ablation;
  const rows = [
    ["the bare path", "", "", spread(base), ""],
    ...steps.map((step) => [
      step.name, short(step.added.median), `${(shareOf(step, ablation) * 100).toFixed(0)} %`, spread(step.withStep), step.kernelStep,
    ]),
    ...(whole ? [["everything at once", "", "", spread(whole), ""]] : []),
  ];
  const head = ["", "us/page added", "share", "us/page, whole", "in the kernel"];
  const full = table([head, ...rows]);
  return widest(full) <= width ? full : [
    ...table([head, ...rows].map((row) => row.slice(0, 4))),
    ...steps.map(({ name, kernelStep }) => `  ${name}, in the kernel: ${kernelStep}`),
  ];
}

function widest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map(({ length }) => length));
}
