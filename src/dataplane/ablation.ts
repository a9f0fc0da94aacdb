// Switches that put single steps of an ordinary write back on the swap_rw path, to measure what each of them costs
// (swapfs bench ablation). Read once, at mount, from SWAPFS_ABLATE; docs/dataplane.md says what each one does.

import { UserError, exitCode } from "../base/errors";

export const ablationVariable = "SWAPFS_ABLATE";

/** `time` and `ask` are the data plane's (native/dataplane/ablation.h), the others are the control plane's. */
export const ablationNames = ["lock", "killpriv", "time", "commit", "cache", "keep", "direct", "ask"] as const;
export type AblationName = (typeof ablationNames)[number];
export type Ablated = ReadonlySet<AblationName>;

export const nothingAblated: Ablated = new Set();

/** Throws a UserError at a name that is unknown: a switch that does nothing would be measured as costing nothing. */
export function readAblated(env: NodeJS.ProcessEnv): Ablated {
  const names = (env[ablationVariable] ?? "").split(",").map((name) => name.trim()).filter((name) => name !== "");
  const unknown = names.find((name) => !(ablationNames as readonly string[]).includes(name));
  if (unknown !== undefined) {
    throw new UserError(exitCode.usage, `cannot read ${ablationVariable}: "${unknown}" is not a switch, known are ${ablationNames.join(", ")}`);
  }
  return new Set(names as AblationName[]);
}

/** For the log, the mount and status: nobody shall be left with it by mistake. */
export function ablationWarning(ablated: Ablated): string[] {
  if (ablated.size === 0) return [];
  return [`slowed down on purpose, to measure it (${ablationVariable}=${[...ablated].join(",")}): unset it and mount again`];
}
