// How the control plane is started: what the CLI hands to the keeper behind "--".

import path from "node:path";

/** V8 keeps a small young generation, and gives memory back early: see docs on the 110 MiB bound. */
const nodeFlags: readonly string[] = ["--max-semi-space-size=2", "--max-lazy"];

/** [node, flags …, main.js]: the whole command line of the control plane. */
export function controlPlaneArgv(): string[] {
  return [process.execPath, ...nodeFlags, path.join(__dirname, "main.js")];
}
