import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

import { attachImage } from "#src/sys/loop";
import { MemoryCgroup, memoryHierarchy } from "#src/sys/memorycgroup";
import { renewLoop } from "../support/hostdevices";
import { isOfAnother, leaksSince, machineState } from "../support/leaks";
import { until } from "../support/mounted-run";
import { runFolder } from "../support/runs";

test("a loop device, a cgroup and a process of ours are leaks until they are gone", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-leaks-"));
  const image = path.join(folder, "image");
  fs.writeFileSync(image, Buffer.alloc(2 ** 20));
  const run = runFolder()!;
  const before = machineState(run);

  const loop = attachImage(image);
  const group = MemoryCgroup.create(memoryHierarchy()!, `swapfs-leaks-${process.pid}`, 2 ** 24);
  const child = spawn("sleep", ["60"], { argv0: "swapfs-keeper" });
  await new Promise((resolve) => child.once("spawn", resolve));
  const ours = (lines: string[]): string[] => lines.filter((line) =>
    [image, group.folder.split("/").pop()!, `process ${child.pid}:`].some((name) => line.includes(name)));
  const leaks = ours(await leaksSince(before, run, 0));

  const ended = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGKILL");
  await Promise.all([ended, group.remove()]);
  fs.closeSync(loop.fd);
  for (let i = 0; i < 100 && !renewLoop(loop.device); i += 1) await new Promise((resolve) => setTimeout(resolve, 10));
  fs.rmSync(folder, { recursive: true });

  expect(leaks).toEqual([
    `loop device ${path.basename(loop.device)} on ${image}`,
    `memory cgroup swapfs-leaks-${process.pid}`,
    `process ${child.pid}: swapfs-keeper 60`,
  ]);
  expect(ours(machineState(run))).toEqual([]);
});

test("what another run has made is none of this one's", async () => {
  const other = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-leaks-"));
  const child = spawn("sleep", ["60"], { argv0: "swapfs-keeper", env: { ...process.env, SWAPFS_TEST_RUN: other } });
  await new Promise((resolve) => child.once("spawn", resolve));
  const named = (run: string): string[] => machineState(run).filter((line) => line.includes(String(child.pid)));
  try {
    await until("the other run has it", () => named(other).length === 1); // until exec, a child has the environment of its parent
    expect(named(runFolder()!)).toEqual([]);
  } finally {
    child.kill("SIGKILL");
    fs.rmSync(other, { recursive: true });
  }
});

test("a run folder without a keeper belongs to the run below whose folder it was mounted", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-leaks-"));
  try {
    expect(isOfAnother(folder, runFolder()!)).toBe(false);
    for (const [mountpoint, another] of [[`${runFolder()}/mnt`, false], ["/mnt/swap", true], [`${runFolder()}2/mnt`, true]] as const) {
      fs.writeFileSync(path.join(folder, "state.json"), JSON.stringify({ mountpoint }));
      expect(isOfAnother(folder, runFolder()!)).toBe(another);
    }
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});
