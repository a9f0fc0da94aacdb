// swapfs bench: measures beside everything else that can do the same, in the same run.

import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Argument, type Command } from "commander";
import { exitCode, messageOf } from "../../base/errors";
import { groups, runBench, usualGroups, type Measured } from "../../bench/bench";
import { ablationVariable } from "../../dataplane/ablation";
import { logLine } from "../../report/logline";
import { renderTable } from "../../report/markdown";
import type { BenchReport } from "../../report/model";
import { parseReport, reportJson } from "../../report/read";
import { reportLines } from "../../report/text";
import { verdictsOf } from "../../report/verdict";
import { ifAny, withOpen } from "../../sys/kernelfiles";
import { runTool } from "../../sys/tools";
import { untilInterrupted, failed, parseCount, usageError } from "../common/outcome";
import { print, Progress, note } from "../common/output";
import { projectRoot } from "../../sys/version";

interface Options {
  readonly device?: string;
  readonly destroy?: boolean;
  readonly rounds: string;
  readonly quick?: boolean;
  readonly minutes: string;
  readonly from?: string;
  readonly json?: string;
  readonly report?: string;
  readonly svg?: string;
  readonly markdown?: boolean;
  readonly log?: boolean;
}

const names = Object.keys(groups) as Measured[];
const performanceLog = join(projectRoot, "docs", "performance.md");

export function define(command: Command): void {
  command
    .description("Measure swap, I/O, activation and metadata beside everything else that can do the same, in the same run.")
    .addArgument(new Argument("[what...]", "which; all but pressure without it").choices(names))
    .option("--device <device>", "measure on this block device instead of zram; its contents are destroyed")
    .option("--destroy", "with --device: yes, destroy what is on it")
    .option("--rounds <count>", "each contender is measured so often, in turn", "3")
    .option("--quick", "one short round of the typical rows: shows that it can be measured here, not how fast it is")
    .option("--minutes <count>", "of pressure: how long", "10")
    .option("--json <file>", "write every sample to a file")
    .option("--report <file>", "write a page of charts (HTML, self-contained)")
    .option("--svg <file>", "write a small chart of the headlines (SVG)")
    .option("--markdown", "print the headlines as a Markdown table instead of the figures")
    .option("--from <file>", "measure nothing, show what --json has written")
    .option("--log", "append a line to docs/performance.md (done in a checkout when everything is measured)")
    .option("--no-log", "append no line")
    .addHelpText("after", `
Examples:
  swapfs bench --json bench.json --report bench.html
  swapfs bench swap --rounds 7
  swapfs bench --device /dev/sdb1 --destroy
  swapfs bench pressure --minutes 10          loop swap under memory pressure: no bad page, no hang
  swapfs bench --from bench.json --report bench.html
  swapfs bench --from docs/bench.json --svg docs/bench.svg --markdown

Prints medians and spreads, and ratios with the bounds that are asked of them. One contender runs at a time, another one first
in each round. Everything takes about 25 minutes. Ctrl-C cleans up as well.

Exit codes: 0 measured and every bound met, 2 usage, 12 something could not be set up, 70 a bound was missed or internal.`)
    .action(async (what: Measured[], options: Options) => {
      const report = options.from === undefined ? await measure(what, options) : readReport(options.from);
      for (const line of options.markdown ? [renderTable(report).trimEnd()] : reportLines(report, process.stdout.columns)) print(line);
      if (options.json !== undefined) writeFileSync(options.json, reportJson(report));
      if (options.report !== undefined) writeFileSync(options.report, pictures().renderHtml(report));
      if (options.svg !== undefined) writeFileSync(options.svg, pictures().renderSvg(report));
      if (options.from === undefined && wantsLog(what, options)) appendFileSync(performanceLog, `${logLine(report)}\n`);
      process.exitCode = verdictsOf(report).every(({ met }) => met) ? exitCode.done : exitCode.internal;
    });
}

async function measure(what: readonly Measured[], options: Options): Promise<BenchReport> {
  const count = (text: string, option: string): number => parseCount(text, option, [1, 1000], "a number from 1 to 1000");
  const rounds = options.quick ? 1 : count(options.rounds, "--rounds");
  const minutes = count(options.minutes, "--minutes");
  const { device, destroy } = options;
  if (device !== undefined && !destroy) throw usageError(`cannot measure on ${device}: its contents would be destroyed, add --destroy to say yes`);
  if (process.env[ablationVariable]) throw usageError(`cannot measure with ${ablationVariable} set: everything would be slower, unset it (swapfs bench ablation sets it itself)`);
  const wanted = what.length === 0 ? usualGroups : names.filter((name) => what.includes(name));
  requireBenchTools(wanted);
  const progress = new Progress();
  return untilInterrupted((signal) => runBench({
    groups: wanted, device, rounds, quick: options.quick ?? false, minutes, signal, say: (text) => progress.show(text),
    note: (text) => progress.note(text),
  })).finally(() => progress.end());
}

function readReport(file: string): BenchReport {
  let json: string;
  try {
    json = readFileSync(file, "utf8");
  } catch (error) {
    throw failed(`cannot read ${file}: ${messageOf(error)}, name a file that swapfs bench --json has written`);
  }
  return parseReport(json, file);
}

/** A checkout keeps the history of its own runs; a short or partial one says too little. */
function wantsLog(what: readonly Measured[], { log, quick }: Options): boolean {
  if (log !== undefined) return log;
  if (quick || what.length > 0 || !existsSync(join(projectRoot, ".git"))) return false;
  return ifAny(() => withOpen(performanceLog, "r+", () => true)) ?? false;
}

/** Loaded only when there is something to draw. */
function pictures(): typeof import("../../report/html") & typeof import("../../report/svg") {
  return { ...(require("../../report/html") as typeof import("../../report/html")), ...(require("../../report/svg") as typeof import("../../report/svg")) };
}

/** Program, and the Debian package that has it; by what is measured. */
const needed: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  swap: [["mkfs.ext4", "e2fsprogs"], ["mkfs.xfs", "xfsprogs"], ["mkfs.btrfs", "btrfs-progs"], ["ntfs-3g", "ntfs-3g"], ["mkntfs", "ntfs-3g"]],
  io: [["fio", "fio"], ["mkfs.ext4", "e2fsprogs"], ["ntfs-3g", "ntfs-3g"], ["mkntfs", "ntfs-3g"]],
  activate: [["mkfs.ext4", "e2fsprogs"], ["filefrag", "e2fsprogs"], ["ntfs-3g", "ntfs-3g"], ["mkntfs", "ntfs-3g"], ["ntfsfallocate", "ntfs-3g"]],
  extents: [["fio", "fio"]],
  ablation: [["fio", "fio"]],
  metadata: [["mkfs.ext4", "e2fsprogs"], ["ntfs-3g", "ntfs-3g"], ["mkntfs", "ntfs-3g"]],
};

/** Installed as mount.sh does it where they are missing. */
export function requireBenchTools(wanted: readonly string[]): void {
  const missing = (): string[] => [...new Set(wanted.flatMap((what) => needed[what] ?? []).filter(([program]) => !has(program)).map(([, name]) => name))];
  const packages = missing();
  if (packages.length === 0) return;
  note(`installing the Debian packages ${packages.join(", ")}, for what swapfs is compared with (apt-get install ${packages.join(" ")})`);
  runTool("apt-get", ["update", "-qq"]);
  runTool("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages]);
  const left = missing();
  if (left.length > 0) throw failed(`cannot install ${left.join(", ")}: apt-get failed, install them by hand`);
}

function has(program: string): boolean {
  return runTool("sh", ["-c", 'command -v "$1"', "sh", program]).code === 0;
}
