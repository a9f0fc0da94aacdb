// Mounts whose processes were killed: every command says so, none hangs, and umount brings order.

import { promises as fs } from "node:fs";
import path from "node:path";

import { isMounted, mountSwapfs, serving, statusOf } from "../support/mounted";
import { withCleanup } from "../support/mounted-cleanup";
import { attachLoop, imageFile, leftIn, scratchDir } from "../support/mounted-devices";
import { must, sleep, swapfs, until } from "../support/mounted-run";
import { rememberRunDir } from "../support/rundirs";

test("all processes killed: said by every command, then unmounted and mounted again with its files", async () => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const image = path.join(dir, "disk.img");
    const mountpoint = path.join(dir, "mnt");
    await mountSwapfs(cleanup, image, mountpoint, { args: ["--size", "64M"] });
    const file = await fs.open(path.join(mountpoint, "kept"), "w");
    await file.write("kept");
    await file.sync();
    await file.close();
    const { processes, runDir } = await statusOf(mountpoint);
    const remembered = rememberRunDir(cleanup, runDir);
    const pids: number[] = ["keeper", "dataPlane", "controlPlane"].map((name) => processes[name].pid);
    for (const pid of pids) process.kill(pid, "SIGKILL"); // the keeper first: it would start the others again
    await until("they are gone", async () => (await serving(mountpoint)).length === 0);

    const status = await swapfs(["status", mountpoint]);
    expect([status.status, status.stdout]).toEqual([0, expect.stringMatching(/all gone, the mount is dead/)]);
    const again = await swapfs(["mount", image, mountpoint]);
    expect([again.status, again.stderr]).toEqual([12, expect.stringMatching(/processes are gone, run swapfs umount/)]);
    const created = await swapfs(["create", path.join(mountpoint, "x"), "--size", "1M"]);
    expect([created.status, created.stderr]).toEqual([12, expect.stringMatching(/processes are gone/)]);
    expect((await swapfs(["check", path.join(mountpoint, "kept")])).status).toBe(12);
    expect(await swapfs(["umount", mountpoint])).toMatchObject({ status: 0 });
    expect(await isMounted(mountpoint)).toBe(false);
    expect(await leftIn(dir)).toEqual([]);
    expect(remembered.isThere()).toBe(false);

    await mountSwapfs(cleanup, image, mountpoint);
    expect(await fs.readFile(path.join(mountpoint, "kept"), "utf8")).toBe("kept");
  });
});

test("the keeper alone killed: nothing is noticed, and umount still ends everything", async () => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const mountpoint = path.join(dir, "mnt");
    await mountSwapfs(cleanup, path.join(dir, "disk.img"), mountpoint, { args: ["--size", "64M"] });
    const { processes, runDir } = await statusOf(mountpoint);
    const remembered = rememberRunDir(cleanup, runDir);
    process.kill(processes.keeper.pid, "SIGKILL");
    await fs.writeFile(path.join(mountpoint, "after"), "works");
    expect(await statusOf(mountpoint)).toMatchObject({ processes: { keeper: { running: false }, dataPlane: { running: true } } });
    expect(await swapfs(["umount", mountpoint])).toMatchObject({ status: 0 });
    expect(await leftIn(dir)).toEqual([]);
    expect(remembered.isThere()).toBe(false);
  });
});

test("a keeper that is slow at its end: the next mount of the device waits for it, and keeps the run directory that it makes", async () => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const mountpoint = path.join(dir, "mnt");
    const device = await attachLoop(cleanup, await imageFile(dir, "disk.img", 64 << 20));
    await mountSwapfs(cleanup, device, mountpoint, { args: ["--format"] });
    const { processes, runDir } = await statusOf(mountpoint);
    const keeper: number = processes.keeper.pid;
    process.kill(keeper, "SIGSTOP");
    cleanup.add("the old keeper", () => { try { process.kill(keeper, "SIGCONT"); } catch { /* it has ended */ } });
    await must("umount", [mountpoint]);
    const next = swapfs(["mount", device, mountpoint]);
    await sleep(2000);
    expect(await isMounted(mountpoint)).toBe(false);
    process.kill(keeper, "SIGCONT");
    expect(await next).toMatchObject({ status: 0 });
    await until("the old keeper has ended", async () => !(await serving(mountpoint)).some((one) => one.startsWith(`${keeper} `)));
    expect((await fs.readdir(runDir)).sort()).toEqual(["code", "control.sock", "log", "state.json"]);
    expect((await statusOf(mountpoint)).processes.keeper).toMatchObject({ running: true });
  });
});
