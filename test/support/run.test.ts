// What `run` says that a program has said.

import { spawn } from "node:child_process";

import { run } from "./mounted-run";

function blockFor(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test("run: all that was said, also by one whose end is noticed with another's", async () => {
  const late = run("sh", ["-c", "sleep 0.5; echo late"]);
  const early = spawn("echo", ["early"]);
  // The loop handles both its output and the news of its end, in this order: meanwhile the late one says something and ends as well.
  early.stdout.once("data", () => blockFor(1000));
  blockFor(300);
  expect(await late).toEqual({ status: 0, stdout: "late\n", stderr: "" });
});
