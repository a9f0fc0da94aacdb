// What a step of a scenario has in the guest, beside test/support (mounted-run, mounted, hosts ...), which works there as well.

import { appendFileSync } from "node:fs";
import { release } from "node:os";

import { leaksSince, machineState } from "../../support/leaks";
import type { Done } from "../../support/mounted-run";
import type { Report } from "./scenario";

const reportFile = "/dev/ttyS1";
/** The whole guest belongs to the run (test/support/runs.ts): the start script says the same. */
const run = "";

export class Guest {
  /** "6.1.0-57-amd64" */
  readonly kernel = release();
  readonly #before = machineState(run);

  report(report: Report): void {
    appendFileSync(reportFile, `${JSON.stringify(report)}\n`);
  }

  /** A line for whoever watches the run. */
  note(text: string): void {
    this.report({ note: text });
  }

  /** The CLI, in this process: a start of node takes seconds here. What the command starts is as it always is. */
  async swapfs(...args: string[]): Promise<Done> {
    const restore = [process.stdout, process.stderr].map((stream) => {
      const write = stream.write;
      return () => void (stream.write = write);
    });
    let stdout = "";
    let stderr = "";
    process.stdout.write = (text) => Boolean((stdout += String(text)));
    process.stderr.write = (text) => Boolean((stderr += String(text)));
    try {
      process.exitCode = undefined;
      // Loaded when it is wanted: a small guest has no memory for it.
      const [{ run: runCommand }, { report }] = await Promise.all([import("#src/cli/program"), import("#src/cli/common/outcome")]);
      const status = await runCommand(args).catch(report);
      return { status, stdout, stderr };
    } finally {
      for (const step of restore) step();
      process.exitCode = undefined;
    }
  }

  /** The same for a command that must succeed; returns what it printed. */
  async must(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.swapfs(...args);
    if (status !== 0) throw new Error(`swapfs ${args.join(" ")}: status ${status}\n${stdout}${stderr}`);
    return stdout;
  }

  /** Throws when a mount, loop device, swap area or process of swapfs is there that was not there at the beginning. */
  async nothingIsLeft(): Promise<void> {
    const left = await leaksSince(this.#before, run);
    if (left.length > 0) throw new Error(`left behind: ${left.join("; ")}`);
  }
}
