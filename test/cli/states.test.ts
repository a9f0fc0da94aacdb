// States of the machine that a person can mend are said in words, with 12, before anything is changed: never "internal error".

import { promises as fs } from "node:fs";
import path from "node:path";

import { isMounted, mountSwapfs, tryMount, umount } from "../support/mounted";
import { withCleanup } from "../support/mounted-cleanup";
import { attachLoop, scratchDir } from "../support/mounted-devices";
import { must, run, sh, swapfs, type Done, type RunOptions } from "../support/mounted-run";

const nobody: RunOptions = { uid: 65534 };

async function refused(args: readonly string[], says: RegExp, options: RunOptions = {}): Promise<Done> {
  const done = await swapfs(args, options);
  expect([args.join(" "), done.status, done.stderr]).toEqual([args.join(" "), 12, expect.stringMatching(says)]);
  return done;
}

test("a mountpoint that would hide the image: refused, and nothing was made or mounted", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    await fs.mkdir(path.join(dir, "self/inner"), { recursive: true });
    for (const [source, mountpoint] of [["self", "self"], ["self/inner", "self"], ["self/inner/v.img", "self"]] as const) {
      await refused(["mount", path.join(dir, source), path.join(dir, mountpoint), "--size", "64M"], /would be hidden below it, name another directory/);
      expect(await isMounted(path.join(dir, mountpoint))).toBe(false);
      expect((await must("find", [dir, "-type", "f"])).trim()).toBe("");
    }
    await mountSwapfs(cleanup, path.join(dir, "self"), path.join(dir, "self/inner"), { args: ["--size", "64M"] }); // hides nothing
  }));

test("mounted read-only: check, prepare and swapon say so, and how it becomes writable", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const [image, mnt] = [path.join(dir, "v.img"), path.join(dir, "mnt")];
    await mountSwapfs(cleanup, image, mnt, { args: ["--size", "64M"] });
    await must(process.execPath, ["dist/cli/main.js", "create", path.join(mnt, "a"), "--size", "4M"]);
    await must(process.execPath, ["dist/cli/main.js", "mount", image, mnt, "-o", "remount,ro"]);
    const remedy = `mounted read-only, run swapfs mount ${image} ${mnt} -o remount,rw first`;
    for (const command of ["check", "prepare", "swapon"]) await refused([command, path.join(mnt, "a")], new RegExp(remedy));
    expect(await swapfs(["mount", image, mnt, "-o", "remount,rw"])).toMatchObject({ status: 0 });
    expect(await swapfs(["check", path.join(mnt, "a")])).toMatchObject({ status: 0 });
  }));

test("without root: what is mounted cannot be told, and nothing is denied", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    await fs.chmod(dir, 0o755);
    const mnt = path.join(dir, "mnt");
    await mountSwapfs(cleanup, path.join(dir, "v.img"), mnt, { args: ["--size", "64M"] });
    await must(process.execPath, ["dist/cli/main.js", "create", path.join(mnt, "a"), "--size", "4M"]);
    const onVolume = ["status", "umount", "fsck", "grow"].map((command) => (command === "status" ? [command] : [command, mnt]));
    const onFile = ["check", "prepare", "swapon", "swapoff", "pin", "map", "activate"].map((command) => [command, path.join(mnt, "a")]);
    for (const args of [...onVolume, ["shrink", mnt, "--size", "32M"], ...onFile, ["create", path.join(mnt, "b"), "--size", "4M"]]) {
      const { stdout, stderr } = await refused(args, /needs root, run it as root\n$/, nobody);
      expect(stdout + stderr).not.toMatch(/No volume|not on a|there is no/);
    }
  }));

test("fsck opens nothing for writing: an immutable image; and one that may not be read is refused in words", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const [image, mnt] = [path.join(dir, "v.img"), path.join(dir, "mnt")];
    await mountSwapfs(cleanup, image, mnt, { args: ["--size", "64M"] });
    await umount(mnt);
    await fs.chmod(image, 0o444);
    await must("chattr", ["+i", image]);
    cleanup.add("chattr -i", () => run("chattr", ["-i", image]));
    expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
    await refused(["mount", image, mnt], /permission denied, look at its mode and lsattr/);
    await must("chattr", ["-i", image]);
    await fs.chmod(image, 0o600);
    await fs.chmod(dir, 0o755);
    await refused(["fsck", image], /run it as root/, nobody);
    await refused(["fsck", path.join(dir, "none")], /there is no volume/);
  }));

test("without root: swapoff --all-views and pressure say that they need it, and nothing else", async () => {
  for (const args of [["swapoff", "--all-views"], ["pressure", "--size", "16M", "--resident", "4M"]]) {
    expect((await refused(args, /^swapfs: cannot .*: only root may, run it as root\n$/, nobody)).stdout).toBe("");
  }
});

test("through a loop device attached by hand: said to be an image at mount; what undoes something takes no directory, and names files by their path", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const [image, mnt] = [path.join(dir, "v.img"), path.join(dir, "mnt")];
    await must("truncate", ["-s", "64M", image]);
    const device = await attachLoop(cleanup, image);
    await fs.mkdir(mnt);
    const mounted = await tryMount(cleanup, device, mnt, { args: ["--format"] });
    expect(mounted.stderr).toContain(`${image} is an image in a filesystem (through ${device}): good for trying out. A machine that runs out of memory can hang`);
    for (const command of ["swapoff", "unpin", "deactivate"]) await refused([command, mnt], /it is a directory, name a file in it/);
    expect(await swapfs(["create", path.join(mnt, "a"), "--size", "4M", "--on", "--priority", "10"])).toMatchObject({ status: 0 });
    try {
      await refused(["activate", path.join(mnt, "a")], new RegExp(`cannot activate: ${mnt}/a is swapped on, run swapoff first`));
    } finally {
      await must("swapoff", [path.join(mnt, "a")]);
    }
  }));

test("an image that the host uses: swapped on itself, or attached to a loop device that is swapped on", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const [image, mnt] = [path.join(dir, "sw.img"), path.join(dir, "mnt")];
    await fs.mkdir(mnt);
    await sh(`fallocate -l 64M ${image}; chmod 600 ${image}; mkswap -q ${image}`);
    const loop = (await must("losetup", ["--find", "--show", image])).trim();
    cleanup.add("detach", () => run("losetup", ["-d", loop]));
    for (const area of [loop, image]) {
      const on = await run("swapon", ["-p", "10", area]);
      if (area === image && on.status !== 0) continue; // /tmp on what takes no swapfile
      try {
        await refused(["mount", image, mnt, "--format", "--force"], new RegExp(`${area === loop ? `attached to ${loop}.*` : ""}in use as swap, run swapoff ${area} first`));
      } finally {
        await run("swapoff", [area]);
      }
      if (area === loop) await run("losetup", ["-d", loop]);
    }
  }));

test("a device that is not there is no image to be made; a size that is too small is the command line's fault", async () => {
  await refused(["mount", "/dev/stranger-typo", "/mnt", "--size", "32M"], /there is no such device, correct the name/);
  await expect(fs.stat("/dev/stranger-typo")).rejects.toMatchObject({ code: "ENOENT" });
  const small = await swapfs(["mount", "/dev/shm/none.img", "/mnt", "--size", "100"]);
  expect([small.status, small.stderr]).toEqual([2, expect.stringMatching(/--size 100 B: 16 MiB is the least/)]);
});
