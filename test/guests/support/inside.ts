// Runs in the guest: the steps of a scenario, one after the other, each told to the host as it begins and ends.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";

import { Guest } from "./guest";
import { wantedScenario } from "./scenario";

const endedWell = 0;
const stepFailed = 1;

const stepMs = Number(process.env["SWAPFS_GUEST_STEP_MINUTES"]) * 60_000;

async function main(): Promise<number> {
  require(path.resolve(process.argv[2]!));
  const guest = new Guest();
  const { steps, poweredOff } = wantedScenario();
  // A boot after the first begins behind the step that ended the one before.
  for (const [step, body] of Object.entries(steps).slice(Number(process.env["SWAPFS_GUEST_FIRST_STEP"] ?? 0))) {
    guest.report({ step, state: "begun" });
    try {
      await withinLimit(body(guest));
    } catch (error) {
      guest.report({ step, state: "failed", error: (error as Error).stack ?? String(error) });
      return stepFailed;
    }
    if (poweredOff?.[step] !== undefined) {
      guest.report({ step, state: "powering off" });
      execFileSync("systemctl", ["--no-block", "poweroff"]);
      return new Promise(() => setInterval(() => undefined, 60_000)); // until systemd ends this process
    }
    guest.report({ step, state: "passed" });
  }
  return endedWell;
}

/** A step that hangs shows on the console what hangs in the kernel. */
async function withinLimit(step: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      writeFileSync("/proc/sys/kernel/printk", "8");
      writeFileSync("/proc/sysrq-trigger", "w");
      reject(new Error(`did not end within ${stepMs / 1000} s; the console shows what is blocked`));
    }, stepMs);
  });
  await Promise.race([step, limit]).finally(() => clearTimeout(timer));
}

// What still hangs must not keep the guest: it is cut off.
main().then((status) => process.exit(status), (error: unknown) => {
  console.error(error);
  process.exit(stepFailed);
});
