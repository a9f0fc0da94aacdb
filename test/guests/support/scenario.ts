// A scenario: what guests with some kernels go through, step by step. The file that calls `scenario` is loaded twice: by jest, for
// which each step is a test, and by node in the guest, where the steps run, all in one process: under emulation each program
// that is started costs seconds.

import { projectDir } from "../../support/mounted-run";
import { debianAppend, debianStart } from "./debian";
import { Disks } from "./disks";
import { Machine, endScript, type MachineEnd } from "./machine";
import type { KernelRelease } from "./kernels";
import type { Guest } from "./guest";

export interface Scenario {
  readonly kernels: readonly KernelRelease[];
  readonly memoryMiB?: number;
  readonly cpus?: number;
  /** Bytes of each empty disk: /dev/vda, /dev/vdb, ... */
  readonly disks?: readonly number[];
  /** One more disk, the last, that keeps a log of what was written and flushed (write-log.ts). */
  readonly loggedDisk?: number;
  /** What a step may take at most, on a busy machine. */
  readonly stepMinutes?: number;
  /** So many guests, of which it is only told how many go through: of what is not promised. */
  readonly counted?: number;
  /** From the start of qemu to the first step. */
  readonly bootMinutes?: number;
  /** In their order; what follows a step that fails is not run. */
  readonly steps: Readonly<Record<string, (guest: Guest) => Promise<void>>>;
  /** On this machine, when the guest has ended: what is to be seen on its disks, each a test. */
  readonly afterwards?: Readonly<Record<string, (disks: Disks) => Promise<void>>>;
  /** The root is a small Debian's with systemd, on a disk behind the others, instead of this machine's; `prepare` is not run. */
  readonly debian?: boolean;
  /** On this machine, before: what is to be in Debian's root beside it, whose links into other trees are not to be written through. */
  readonly addToRoot?: (root: string) => Promise<void>;
  /** For steps, by name, behind which systemd powers off and the guest is booted again: what this machine sees of the end. */
  readonly poweredOff?: Readonly<Record<string, (disks: Disks, console: string) => Promise<void> | void>>;
  /** Lines of the kernel's log that are expected although they look like a fault. */
  readonly expected?: RegExp;
  readonly append?: string;
  readonly qemu?: readonly string[];
  /** Shell commands before the steps. */
  readonly prepare?: string;
}

/** What the guest says on its second serial line, one JSON object a line. */
export type Report =
  | { readonly step: string; readonly state: "begun" | "passed" | "powering off" }
  | { readonly step: string; readonly state: "failed"; readonly error: string }
  | { readonly note: string };

/** Set in the guest: the scenario that is wanted of the file. */
export const wantedVariable = "SWAPFS_GUEST_SCENARIO";

/** Handed on to the guest: how often a scenario does what can be done any number of times. */
export const roundsVariable = "SWAPFS_ROUNDS";

const found = new Map<string, Scenario>();

export function scenario(name: string, wanted: Scenario): void {
  if (process.env[wantedVariable] !== undefined) found.set(name, wanted);
  else for (const kernel of wanted.kernels) (wanted.counted === undefined ? describeOnHost : describeCounted)(name, kernel, wanted);
}

/** In the guest, after the file was loaded. */
export function wantedScenario(): Scenario {
  const name = process.env[wantedVariable]!;
  const wanted = found.get(name);
  if (wanted === undefined) throw new Error(`no scenario "${name}" in the file`);
  return wanted;
}

const defaults = { memoryMiB: 512, cpus: 2, stepMinutes: 8 };
const endMs = 60_000;
/** Less than what systemd gives a job that hangs. */
const powerOffMs = 80_000;
const mostBoots = 3;

interface Outcome {
  readonly reports: readonly Report[];
  readonly end: MachineEnd;
}

/** Boots a guest that goes through the scenario of this file; once more behind each step that ended in a power-off. */
async function runIn(kernel: KernelRelease, name: string, wanted: Scenario, disks: Disks): Promise<Outcome> {
  const steps = Object.keys(wanted.steps);
  const reports: Report[] = [];
  let text = "";
  for (let first = 0; ;) {
    const { reports: these, end } = await bootedIn(kernel, name, wanted, disks, first);
    reports.push(...these);
    text += end.console;
    const last = reports.at(-1);
    if (last === undefined || !("step" in last) || last.state !== "powering off") return { reports, end: { ...end, console: text } };
    const off = await offIn(last.step, end, wanted, disks);
    reports.push(off);
    first = steps.indexOf(last.step) + 1;
    if (off.state === "failed" || first === steps.length) return { reports, end: { ...end, console: text } };
  }
}

async function offIn(step: string, end: MachineEnd, { poweredOff }: Scenario, disks: Disks): Promise<Extract<Report, { step: string }>> {
  try {
    if (end.killed !== undefined) throw new Error(end.killed);
    await poweredOff![step]!(disks, end.console);
    process.stderr.write(`  off in ${Math.round((Date.now() - begunAt) / 1000)} s: ${step}\n`);
    return { step, state: "passed" };
  } catch (error) {
    return { step, state: "failed", error: (error as Error).message };
  }
}

async function bootedIn(kernel: KernelRelease, name: string, wanted: Scenario, disks: Disks, first: number): Promise<Outcome> {
  for (let boot = 1; ; boot += 1) {
    const outcome = await bootIn(kernel, name, wanted, disks, first);
    // On a busy machine qemu's emulation now and then breaks a kernel before anything of ours has run (its timer, code that it patches).
    if (outcome.reports.length > 0 || boot === mostBoots) return outcome;
    process.stderr.write(`  the guest has not booted (${outcome.end.killed ?? "its kernel ended"}), once more\n`);
  }
}

async function bootIn(kernel: KernelRelease, name: string, wanted: Scenario, disks: Disks, first: number): Promise<Outcome> {
  const reports: Report[] = [];
  const end = await Machine.run({
    kernel, memoryMiB: wanted.memoryMiB ?? defaults.memoryMiB, cpus: wanted.cpus ?? defaults.cpus, disks: disks.qemuArguments,
    start: wanted.debian ? debianStart(`/dev/vd${"abcdefgh"[(wanted.disks ?? []).length]}`) : startScript(name, expect.getState().testPath!, wanted),
    append: `${wanted.append ?? ""} ${wanted.debian ? `${debianAppend} first_step=${first}` : ""}`, qemu: wanted.qemu ?? [], ...(wanted.bootMinutes === undefined ? {} : { bootMinutes: wanted.bootMinutes }),
    onReport: (line, machine) => take(line, machine, reports, stepMsOf(wanted)),
  });
  return { reports, end };
}

function stepMsOf(wanted: Scenario): number {
  return (wanted.stepMinutes ?? defaults.stepMinutes) * 60_000;
}

function describeCounted(name: string, kernel: KernelRelease, wanted: Scenario): void {
  const count = wanted.counted!;
  const steps = Object.keys(wanted.steps);
  test(`${name} on ${kernel}: counted`, async () => {
    let through = 0;
    for (let guest = 1; guest <= count; guest += 1) {
      const disks = await Disks.make(wanted);
      const { reports, end } = await runIn(kernel, name, wanted, disks).finally(() => disks.remove());
      const passed = (step: string): boolean => reports.some((one) => "step" in one && one.step === step && one.state === "passed");
      if (!passed(steps[0]!)) throw failure(`the first step failed: ${JSON.stringify(reports)}`, end);
      if (steps.every(passed)) through += 1;
    }
    process.stderr.write(`  ${name} on ${kernel}: ${through} of ${count} guests went through\n`);
  }, count * stepMsOf(wanted) * (steps.length + 2));
}

function describeOnHost(name: string, kernel: KernelRelease, wanted: Scenario): void {
  describe(`${name} on ${kernel}`, () => {
    let reports: readonly Report[] = [];
    let end: MachineEnd | undefined;
    let disks: Disks | undefined;
    const names = Object.keys(wanted.steps);

    beforeAll(async () => {
      disks = await Disks.make({ ...wanted, ...(wanted.debian ? { debianSteps: debianSteps(name, expect.getState().testPath!, wanted) } : {}) });
      ({ reports, end } = await runIn(kernel, name, wanted, disks));
    }, stepMsOf(wanted) * (names.length + 2));

    afterAll(() => disks?.remove());

    for (const step of names) {
      test(step, () => {
        const report = reports.findLast((one) => "step" in one && one.step === step);
        const state = report !== undefined && "step" in report ? report : undefined;
        if (state?.state === "passed") return;
        // The console once, where it helps.
        if (state?.state === "failed") throw failure(state.error, end);
        if (state?.state === "begun") throw failure(`did not end: ${end?.killed ?? "the guest ended"}`, end);
        const first = !reports.some((one) => "step" in one);
        throw failure(`not run: ${end?.killed ?? "a step before failed, or the guest ended"}`, first ? end : undefined);
      });
    }

    for (const [what, look] of Object.entries(wanted.afterwards ?? {})) {
      test(what, () => {
        if (end?.status !== 0) throw failure("not run: a step before failed", undefined);
        return look(disks!);
      }, 10 * stepMsOf(wanted));
    }

    test("the kernel has nothing to complain about", () => {
      expect(complaintsIn(end?.console ?? "", wanted.expected)).toEqual([]);
    });
  });
}

let begunAt = 0;

function take(line: string, machine: Machine, reports: Report[], stepMs: number): void {
  let report: Report;
  try {
    report = JSON.parse(line) as Report;
  } catch {
    return; // not ours: a program that writes to every terminal
  }
  reports.push(report);
  if ("note" in report) process.stderr.write(`    ${report.note}\n`);
  else if (report.state === "begun") {
    begunAt = Date.now();
    // A little longer than the guest itself waits, which then shows what hangs.
    machine.within(stepMs + endMs, `in the step "${report.step}"`);
  } else if (report.state === "powering off") {
    begunAt = Date.now();
    machine.within(powerOffMs, `powering off after the step "${report.step}"`);
  } else {
    process.stderr.write(`  ${report.state} in ${Math.round((Date.now() - begunAt) / 1000)} s: ${report.step}\n`);
    machine.within(endMs, `after the step "${report.step}"`);
  }
}

function failure(what: string, end: MachineEnd | undefined): Error {
  const error = new Error(end === undefined ? what : `${what}\n\nThe guest's console:\n${end.console.split("\n").slice(-120).join("\n")}`);
  error.stack = error.message; // the place in this file says nothing
  return error;
}

const complaint = /\b(BUG|WARNING|Oops|general protection fault|Kernel panic|blocked for more than|Out of memory|I\/O error|Write-error)\b/;

export function complaintsIn(text: string, expected?: RegExp): string[] {
  return text.split("\n").filter((line) => complaint.test(line) && !(expected?.test(line) ?? false));
}

function startScript(name: string, file: string, wanted: Scenario): string {
  return [
    "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C SWAPFS_TEST_RUN=",
    environment(name, wanted),
    wanted.prepare ?? "",
    `${quoted(process.execPath)} dist-test/guests/support/inside.js ${quoted(file)} </dev/null`,
    "status=$?",
    endScript,
    "",
  ].join("\n");
}

/** What systemd runs. Steps that are powered off behind leave it to systemd to end the guest. */
function debianSteps(name: string, file: string, wanted: Scenario): string {
  return `#!/bin/bash
export HOME=/root LC_ALL=C SWAPFS_TEST_RUN=
read -r words </proc/cmdline && words=\${words##*first_step=} && export SWAPFS_GUEST_FIRST_STEP=\${words%% *}
${environment(name, wanted)}
node dist-test/guests/support/inside.js ${quoted(file)} </dev/null
status=$?
((status > 126)) || ${endScript}
`;
}

function environment(name: string, { stepMinutes }: Scenario): string {
  const rounds = process.env[roundsVariable];
  return `${rounds === undefined ? "" : `export ${roundsVariable}=${quoted(rounds)}`}
export ${wantedVariable}=${quoted(name)} SWAPFS_GUEST_STEP_MINUTES=${stepMinutes ?? defaults.stepMinutes}
cd ${quoted(projectDir)}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
