// jest's globalSetup: the run has a folder from here on (runs.ts). Remembers what the machine holds before the first test.

import { machineState } from "./leaks";
import { beginRun, runFolder } from "./runs";

declare global {
  var swapfsRunMadeHere: string | undefined;
  var swapfsStateBefore: string[] | undefined;
}

export default function beginAndRemember(): void {
  globalThis.swapfsRunMadeHere = beginRun();
  globalThis.swapfsStateBefore = machineState(runFolder()!);
}
