// swapfs bench: measures beside a peer in the same run.

import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Argument, type Command } from "commander";
import { groups, runBench, type GroupName } from "../bench/bench";
import { exitCode } from "../base/errors";
import { logLine, reportLines } from "../report/text";
import { runTool } from "./children";
import { untilInterrupted } from "./interrupt";
import { failed, usageError } from "./outcome";
import { note, print, Progress } from "./output";
import { projectRoot } from "./version";

interface Options {
  readonly device?: string;
  readonly destroy?: boolean;
  readonly pairs: string;
  readonly json?: string;
  readonly log?: boolean;
}

const names = Object.keys(groups) as GroupName[];

export function define(program: Command): void {
  program
    .command("bench")
    .description("Measure swap, activation, I/O, memory and metadata, each beside a peer in the same run.")
    .addArgument(new Argument("[what...]", "which; all without it").choices(names))
    .option("--device <device>", "measure on this block device instead of zram; its contents are destroyed")
    .option("--destroy", "with --device: yes, destroy what is on it")
    .option("--pairs <count>", "alternating pairs", "5")
    .option("--json <file>", "write every sample to a file")
    .option("--log", "append a line to docs/performance.md")
    .addHelpText("after", `
Examples:
  swapfs bench
  swapfs bench swap --pairs 7 --json swap.json

Prints medians, spreads and ratios. One contender runs at a time. Ctrl-C cleans up as well.

Exit codes: 0 measured and every bound met, 2 usage, 12 something could not be set up, 70 a bound was missed or internal.`)
    .action(async (what: GroupName[], options: Options) => {
      const pairs = parsePairs(options.pairs);
      requireConsent(options);
      const wanted = what.length === 0 ? names : names.filter((name) => what.includes(name));
      requireTools(wanted);
      const progress = new Progress();
      const report = await untilInterrupted((signal) => runBench({
        groups: wanted, device: options.device, pairs, signal, say: (text) => progress.show(text),
      })).finally(() => progress.end());
      for (const line of reportLines(report)) print(line);
      if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
      if (options.log) appendFileSync(join(projectRoot, "docs", "performance.md"), `${logLine(report)}\n`);
      process.exitCode = report.rows.every((row) => row.met !== false) ? exitCode.done : exitCode.internal;
    });
}

function parsePairs(text: string): number {
  const pairs = Number(text);
  if (!Number.isSafeInteger(pairs) || pairs < 1 || pairs > 1000) throw usageError(`cannot read --pairs "${text}": not a number from 1 to 1000`);
  return pairs;
}

function requireConsent({ device, destroy }: Options): void {
  if (device !== undefined && !destroy) throw usageError(`cannot measure on ${device}: its contents would be destroyed, add --destroy to say yes`);
}

/** ntfs-3g is the peer among FUSE filesystems. */
function requireTools(wanted: readonly GroupName[]): void {
  if (!wanted.includes("activate") && !wanted.includes("metadata")) return;
  if (runTool("sh", ["-c", "command -v ntfs-3g && command -v mkntfs"]).code === 0) return;
  note("installing the Debian package ntfs-3g, the peer (apt-get install ntfs-3g)");
  const ran = runTool("apt-get", ["install", "-y", "-qq", "ntfs-3g"]);
  if (ran.code !== 0) throw failed("cannot install ntfs-3g: apt-get failed, install it by hand or run swapfs bench swap io");
}
