// The fuse-native engine as a mount: what it refuses, how it ends, and that both engines read the same volume.

import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import path from "node:path";

import { ended, isMounted, mountSwapfs, serving, tryMount, umount } from "../support/mounted";
import { leftIn } from "../support/mounted-devices";
import { imageUnderTest } from "../support/mounted-image";
import { must, run, sh, swapfs } from "../support/mounted-run";
import { makeTree, treeOf } from "./cases/tree";

const volume = imageUnderTest();
const { cleanup } = volume;

const mount = (engine: "native" | "fuse-native", ...args: string[]): Promise<void> =>
  mountSwapfs(cleanup, volume.image, volume.mountpoint, { engine, args });

test("swapon is refused by the kernel: there is no block device that it could ask for", async () => {
  await mount("fuse-native", "--size", "64M");
  const file = path.join(volume.mountpoint, "swap");
  await sh(`dd if=/dev/zero of="$F" bs=1M count=8 status=none; chmod 600 "$F"; mkswap "$F"`, { env: { F: file } });
  const done = await run("swapon", ["-p", "10", file]);
  expect([done.status === 0, done.stderr]).toEqual([false, expect.stringContaining("Invalid argument")]);
  await fs.unlink(file);
});

test("a second mount of the volume is refused, whatever the engine", async () => {
  for (const engine of ["native", "fuse-native"] as const) {
    const done = await tryMount(cleanup, volume.image, path.join(volume.dir, "second"), { engine });
    expect([done.status, await isMounted(path.join(volume.dir, "second"))]).toEqual([12, false]);
  }
});

test("umount(8) ends the process; no loop device was used", async () => {
  expect(await serving(volume.mountpoint)).toHaveLength(1);
  expect((await must("losetup", ["--list", "--noheadings", "--output", "BACK-FILE"]))).not.toContain(volume.image);
  await umount(volume.mountpoint);
  expect(await leftIn(volume.dir)).toEqual([]);
  expect(await swapfs(["fsck", volume.image])).toMatchObject({ status: 0 });
});

test("SIGTERM unmounts; busy, it stays", async () => {
  await mount("fuse-native");
  const pid = Number((await serving(volume.mountpoint))[0]!.split(" ")[0]);
  const user = spawn("sleep", ["30"], { cwd: volume.mountpoint, stdio: "ignore" });
  process.kill(pid, "SIGTERM");
  await fs.writeFile(path.join(volume.mountpoint, "still"), "served");
  expect(await isMounted(volume.mountpoint)).toBe(true);
  user.kill();
  await new Promise((resolve) => user.once("exit", resolve));
  process.kill(pid, "SIGTERM");
  await ended(volume.mountpoint);
  expect(await isMounted(volume.mountpoint)).toBe(false);
});

test("after umount --lazy an open file is served to its end", async () => {
  await mount("fuse-native");
  const handle = await fs.open(path.join(volume.mountpoint, "open"), "w+");
  await must("umount", ["--lazy", volume.mountpoint]);
  await handle.write("written after the unmount");
  await handle.sync();
  expect((await handle.read(Buffer.alloc(7), 0, 7, 0)).buffer.toString()).toBe("written");
  await handle.close();
  await ended(volume.mountpoint);
  await mount("fuse-native");
  expect(await fs.readFile(path.join(volume.mountpoint, "open"), "utf8")).toBe("written after the unmount");
  await umount(volume.mountpoint);
});

test("killed, it costs the mount and nothing that was written", async () => {
  await mount("fuse-native");
  await fs.writeFile(path.join(volume.mountpoint, "kept"), "before the kill");
  process.kill(Number((await serving(volume.mountpoint))[0]!.split(" ")[0]), "SIGKILL");
  await ended(volume.mountpoint);
  // A request that was let in before the connection was seen to be dead is aborted (fuse_abort_conn, fs/fuse/dev.c).
  await expect(fs.readdir(volume.mountpoint)).rejects.toMatchObject({ code: expect.stringMatching(/^(ENOTCONN|ECONNABORTED)$/) });
  await must("umount", [volume.mountpoint]);
  await mount("fuse-native");
  expect(await fs.readFile(path.join(volume.mountpoint, "kept"), "utf8")).toBe("before the kill");
  await umount(volume.mountpoint);
});

test("both engines read and write the same volume", async () => {
  await mount("native");
  await fs.mkdir(path.join(volume.mountpoint, "tree"));
  await makeTree(path.join(volume.mountpoint, "tree"));
  const written = await treeOf(path.join(volume.mountpoint, "tree"));
  await umount(volume.mountpoint);
  await mount("fuse-native");
  expect(inMilliseconds(await treeOf(path.join(volume.mountpoint, "tree")))).toEqual(inMilliseconds(written));
  await sh(`cd "$D"; cp -r tree copy; rm -r tree/many; echo more >>copy/random`, { env: { D: volume.mountpoint } });
  await umount(volume.mountpoint);
  await mount("native");
  expect(await fs.readdir(path.join(volume.mountpoint, "copy/many"))).toHaveLength(18);
  expect((await fs.stat(path.join(volume.mountpoint, "copy/random"))).size).toBe(300_005);
  await umount(volume.mountpoint);
  expect(await swapfs(["fsck", volume.image])).toMatchObject({ status: 0 });
});

/** The package knows no smaller unit of time. */
function inMilliseconds(tree: readonly string[]): string[] {
  return tree.map((line) => line.replace(/\b(\d{13})\d{6}\b/g, "$1").replace(/\b(\d{12})\d{6}\b/g, "$1"));
}
