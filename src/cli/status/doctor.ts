// swapfs doctor: what works on this machine, and what to do about the rest.

import type { Command } from "commander";
import { exitCode } from "../../base/errors";
import { table } from "../../base/table";
import { findings, type Finding } from "./findings";
import { readMachine } from "./machine";
import { print, printJson } from "../common/output";
import { projectRoot } from "../../sys/version";

export function define(command: Command): void {
  command
    .description("Show what works on this machine, and what to do about the rest.")
    .option("--json", "print the findings as JSON")
    .addHelpText("after", `
Example:
  swapfs doctor

Each line is ok, warn (slower, less safe or not available) or fail (mounting or swapping cannot work).

Exit codes: 0 nothing fails, 2 usage, 12 something fails, 70 internal.`)
    .action((options: { json?: boolean }) => {
      const found = findings(readMachine(projectRoot));
      const works = found.every((finding) => finding.state !== "fail");
      if (options.json) printJson({ works, findings: found });
      else printFindings(found);
      process.exitCode = works ? exitCode.done : exitCode.mountFailed;
    });
}

function printFindings(found: readonly Finding[]): void {
  const lines = table(found.map((finding) => [finding.state, finding.name, finding.found]));
  found.forEach((finding, index) => {
    print(lines[index]);
    if (finding.remedy !== undefined && finding.state !== "ok") print(`      -> ${finding.remedy}`);
  });
  const fails = found.filter((finding) => finding.state === "fail").length;
  const warns = found.filter((finding) => finding.state === "warn").length;
  print();
  print(fails > 0 ? `${fails} to repair before a volume can be mounted, ${warns} to know about.` : `Ready to mount${warns > 0 ? `; ${warns} to know about` : ""}.`);
}
