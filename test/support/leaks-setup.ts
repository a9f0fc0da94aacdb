// jest's globalSetup: remembers what the machine holds before the first test.

import { machineState } from "./leaks";

declare global {
  var swapfsStateBefore: string[] | undefined;
}

export default function rememberState(): void {
  globalThis.swapfsStateBefore = machineState();
}
