// The log: `debug` namespaces swapfs:* for details, and lines that are always written to stderr (the daemon's log file).

import createDebug from "debug";

export type LogArea =
  | "volume" | "activation" | "namespace" | "sys" | "dataplane" | "ops" | "engine" | "cli" | "bench";

/** Details of one area, shown with DEBUG=swapfs:AREA. */
export function debugLog(area: LogArea): createDebug.Debugger {
  return createDebug(`swapfs:${area}`);
}

/** A line that is always written: refusals, restarts, damage. */
export function logLine(message: string): void {
  process.stderr.write(`${new Date().toISOString()} swapfs: ${message}\n`);
}
