// The demo, small: verified, no request meanwhile, nothing left; after Ctrl-C nothing is left either.

import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import path from "node:path";

import { withCleanup } from "../support/mounted-cleanup";
import { leftIn, scratchDir } from "../support/mounted-devices";
import { projectDir, sleep, swapfs } from "../support/mounted-run";
import { takesTurns } from "../support/turns";

takesTurns("swap");

const small = ["demo", "--size", "96M", "--resident", "48M", "--seconds", "1"];

test("shows verified figures for swapfs and for the raw loop device", async () => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const done = await swapfs([...small, "--json"], { env: { TMPDIR: dir } });
    expect({ status: done.status, stderr: done.stderr }).toEqual({ status: 0, stderr: expect.stringMatching(/swapfs create .*--on/) });
    const { verified, runs } = JSON.parse(done.stdout);
    expect(verified).toBe(true);
    expect(runs).toMatchObject([{ on: "swapfs", badPages: 0, fuseRequests: 0 }, { on: "loop", badPages: 0 }]);
    for (const run of runs) expect(run.pagesOut).toBeGreaterThan(0);
    expect(await fs.readdir(dir)).toEqual([]);
    expect(await leftIn(dir)).toEqual([]);
  });
});

test.each([150, 600, 1500, 3000])("Ctrl-C after %d ms leaves nothing", async (ms) => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    // A process group of its own, and the signal to all of it, as a terminal does.
    const child = spawn(process.execPath, [path.join(projectDir, "dist/cli/main.js"), ...small, "--seconds", "20"], {
      env: { ...process.env, TMPDIR: dir }, stdio: "ignore", detached: true,
    });
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    await sleep(ms);
    process.kill(-child.pid!, "SIGINT");
    expect([130, null]).toContain(await ended); // null: before node was up, when nothing had been made
    expect(await fs.readdir(dir)).toEqual([]);
    expect(await leftIn(dir)).toEqual([]);
  });
});
