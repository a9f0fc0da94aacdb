// swapfs check FILE: the activation gate's verdict without activating.

import { readSync, statSync } from "node:fs";
import type { Command } from "commander";
import { headerBytesMax } from "../../activation/swapheader";
import { reasonText } from "../../activation/texts";
import type { Verdict } from "../../activation/verdict";
import { exitCode } from "../../base/errors";
import { countOf, formatPages, pageSize } from "../../base/units";
import { withOpen } from "../../sys/kernelfiles";
import { ask } from "../common/control";
import { requireWritable } from "../common/mounted";
import { print, printJson } from "../common/output";
import { shellWord } from "../common/paths";
import { findTarget, type Target } from "./pinning";

export function define(command: Command): void {
  command
    .description("Would swapon accept this file? Shows every reason why not, and what to do. Changes nothing.")
    .argument("<file>", "a file on a mounted volume")
    .option("--json", "print the verdict as JSON")
    .addHelpText("after", `
Example:
  swapfs check /mnt/swap/a

Exit codes: 0 accepted, 2 usage, 10 refused, 12 not a file of a volume that is mounted for writing, 70 internal.`)
    .action(async (file: string, options: { json?: boolean }) => {
      const target = findTarget(file, "check");
      requireWritable(target.volume, file, "check");
      const verdict = await checkFile(file, target);
      if (options.json) printJson(withTexts(file, verdict));
      else printVerdict(file, verdict);
      process.exitCode = verdict.accepted ? exitCode.done : exitCode.notActivatable;
    });
}

export async function checkFile(file: string, { volume, ino }: Target): Promise<Verdict> {
  const header = readHeader(file);
  return (await ask(volume.runDir, { command: "check", ino, ...(header === undefined ? {} : { header }) })) as Verdict;
}

/** The first bytes, where the swap header is, in base64; undefined when they cannot be read: the control plane will find out why. */
function readHeader(file: string): string | undefined {
  const stat = statSync(file);
  if (!stat.isFile() || stat.size < pageSize) return undefined;
  const head = Buffer.alloc(headerBytesMax);
  try {
    return head.subarray(0, withOpen(file, "r", (fd) => readSync(fd, head, 0, headerBytesMax, 0))).toString("base64");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EIO") return undefined;
    throw error;
  }
}

export function withTexts(file: string, verdict: Verdict): unknown {
  return { file, ...verdict, reasons: verdict.reasons.map((reason) => ({ ...reason, ...reasonText(reason, shellWord(file)) })) };
}

export function printVerdict(file: string, verdict: Verdict): void {
  if (verdict.accepted) {
    print(`${file}: swapon would accept it, ${formatPages(verdict.pages)} (${verdict.pages} pages) in ${countOf(verdict.extents, "extent")}`);
    return;
  }
  print(`${file}: swapon would refuse it`);
  for (const reason of verdict.reasons) {
    const { text, kernel, remedy } = reasonText(reason, shellWord(file));
    print(`  - ${text}`);
    if (kernel !== "") print(`    the kernel says: ${kernel}`);
    print(`    do: ${remedy}`);
  }
}
