// Volumes that live without a mount here: whoever would write to their source is refused, whatever died or lies between; and
// swap on equal names in two of them, which /proc/swaps does not tell apart.

import { closeSync, openSync, promises as fs } from "node:fs";
import path from "node:path";

import { swapfile } from "../support/gate";
import { killAndAwait, mountSwapfs, pidOf } from "../support/mounted";
import { withCleanup } from "../support/mounted-cleanup";
import { attachLoop, imageFile, scratchDir } from "../support/mounted-devices";
import { must, run, swapfs, until } from "../support/mounted-run";

const MiB = 2 ** 20;

/** What each command says that would write to `source`, or must not read what changes. */
function refusals(source: string): Promise<string[]> {
  return Promise.all([["shrink", source, "--size", "48M"], ["grow", source], ["fsck", source]].map(async (args) => {
    const { status, stderr } = await swapfs(args); // each waits for a predecessor that may only be ending
    return `${args[0]} ${status} ${stderr}`;
  }));
}

test("a detached volume on a device: no command writes to it, not after the death of its control plane, nor through the file below", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const image = await imageFile(dir, "disk.img", 64 * MiB);
    const device = await attachLoop(cleanup, image);
    const mountpoint = path.join(dir, "mnt");
    await mountSwapfs(cleanup, device, mountpoint, { args: ["--format"] });
    await fs.writeFile(path.join(mountpoint, "kept"), "before");
    const held = await fs.open(path.join(mountpoint, "kept"), "r");
    await must("umount", ["-l", mountpoint]);
    try {
      await killAndAwait(mountpoint, "control plane");
      await until("the control plane has the lock again", async () => (await run("flock", ["-n", device, "true"])).status === 1);
      for (const said of [...(await refusals(device)), ...(await refusals(image))]) {
        expect(said).toMatch(/^\w+ 12 .*lives, though its mount was detached/);
      }
      expect((await fs.stat(image)).size).toBe(64 * MiB);
      // Formatting is mounting: the source that is given gives the volume that lives, with what it holds.
      expect(await swapfs(["mount", device, mountpoint, "--format", "--force"])).toMatchObject({ status: 0, stdout: expect.stringContaining("again") });
      expect(await fs.readFile(path.join(mountpoint, "kept"), "utf8")).toBe("before");
    } finally {
      await held.close();
    }
    expect(await swapfs(["umount", mountpoint])).toMatchObject({ status: 0 });
    expect(await swapfs(["shrink", device, "--size", "48M"])).toMatchObject({ status: 0 });
    expect(await swapfs(["fsck", device])).toMatchObject({ status: 0 });
  }));

test("an unmounted volume that somebody else has: a device that is claimed, a file below a loop device", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const image = await imageFile(dir, "disk.img", 64 * MiB);
    const device = await attachLoop(cleanup, image);
    const mountpoint = path.join(dir, "mnt");
    await mountSwapfs(cleanup, device, mountpoint, { args: ["--format"] });
    expect(await swapfs(["umount", mountpoint])).toMatchObject({ status: 0 });
    const oRdonlyExcl = 0o200;
    const claim = openSync(device, oRdonlyExcl);
    try {
      for (const verb of ["shrink", "grow"]) {
        expect(await swapfs([verb, device, "--size", "48M"])).toMatchObject({ status: 12, stderr: expect.stringContaining("the kernel says that it is in use") });
      }
    } finally {
      closeSync(claim);
    }
    for (const verb of ["shrink", "grow"]) {
      expect(await swapfs([verb, image, "--size", "48M"])).toMatchObject({ status: 12, stderr: expect.stringContaining(`it is attached to ${device} by somebody else`) });
    }
    expect((await fs.stat(image)).size).toBe(64 * MiB);
  }));

test("two detached volumes with swap on the same name: each umount --swapoff swaps off its own", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const volumes = ["A", "B"].map((name) => ({ image: path.join(dir, `${name}.img`), mountpoint: path.join(dir, name) }));
    const name = `same-${process.pid}`;
    const on = async (): Promise<number> => (await fs.readFile("/proc/swaps", "utf8")).split(name).length - 1;
    for (const { image, mountpoint } of volumes) await mountSwapfs(cleanup, image, mountpoint, { args: ["--size", "64M"] });
    try {
      for (const { mountpoint } of volumes) {
        await must("swapon", ["-p", "10", await swapfile(mountpoint, name)]);
        await must("umount", ["-l", mountpoint]);
        expect(await swapfs(["swapoff", path.join(mountpoint, name)])).toMatchObject({
          status: 12, stderr: expect.stringMatching(new RegExp(`^swapfs: cannot swapoff .* was detached \\(umount -l\\), mount it there again with swapfs mount \\S+\\.img ${mountpoint}$`, "m")),
        });
      }
      for (const [done, { image, mountpoint }] of volumes.entries()) {
        expect(await swapfs(["mount", image, mountpoint])).toMatchObject({ status: 0 });
        const status = await swapfs(["status", mountpoint, "--json"]);
        expect(JSON.parse(status.stdout).volumes[0].swap).toEqual([expect.objectContaining({ path: path.join(mountpoint, name) })]);
        expect(await swapfs(["umount", "--swapoff", mountpoint])).toMatchObject({ status: 0, stderr: "" });
        expect(await on()).toBe(1 - done);
      }
    } finally {
      for (const { image, mountpoint } of volumes) {
        if ((await pidOf(mountpoint, "keeper")) === undefined) continue;
        await swapfs(["mount", image, mountpoint]);
        await run("swapoff", [path.join(mountpoint, name)]);
      }
    }
  }));

test("umount while a file is open on a mount that was detached: at once, with who has it open", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const [image, mountpoint] = [path.join(dir, "v.img"), path.join(dir, "mnt")];
    await mountSwapfs(cleanup, image, mountpoint, { args: ["--size", "64M"] });
    const held = await fs.open(path.join(mountpoint, "held"), "w");
    try {
      await must("umount", ["-l", mountpoint]);
      expect(await swapfs(["mount", image, mountpoint])).toMatchObject({ status: 0 });
      const done = await swapfs(["umount", mountpoint]);
      expect([done.status, done.stderr]).toEqual([12, expect.stringMatching(new RegExp(`detached \\(umount -l\\) is in use by .*\\(process ${process.pid}\\): end that`))]);
    } finally {
      await held.close();
    }
    await until("it ends by itself", async () => (await run("flock", ["-n", image, "true"])).status === 0);
  }));
