// The log: `debug` namespaces swapfs:* for details, and lines that are always written to stderr (the daemon's log file).

import type createDebug from "debug";

export type LogArea =
  | "volume" | "activation" | "namespace" | "sys" | "dataplane" | "ops" | "engine" | "cli" | "bench";

/** Details of one area, shown with DEBUG=swapfs:AREA. The package is loaded only then: it costs a start 15 ms. */
export function debugLog(area: LogArea): Pick<createDebug.Debugger, "enabled"> & ((format: unknown, ...values: unknown[]) => void) {
  if (process.env["DEBUG"] === undefined) return Object.assign(() => undefined, { enabled: false });
  const create = require("debug") as typeof createDebug;
  return create(`swapfs:${area}`);
}

/** A line that is always written: refusals, restarts, damage. */
export function logLine(message: string): void {
  process.stderr.write(`${new Date().toISOString()} swapfs: ${message}\n`);
}
