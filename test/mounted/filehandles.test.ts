// File handles (name_to_handle_at, what NFS gives out): good over a remount and the death of a plane, stale once unlinked.

import { promises as fs } from "node:fs";

import { killAndAwait, mountSwapfs, umount } from "../support/mounted";
import { imageUnderTest } from "../support/mounted-image";
import { must } from "../support/mounted-run";
import { fileHandle, readByHandle } from "../support/mounted-syscall";

const volume = imageUnderTest("64M");
const { cleanup, at } = volume;

async function dropInodes(): Promise<void> {
  await must("sysctl", ["-q", "vm.drop_caches=2"]);
}

test("a handle names its file over a remount and over the death of either plane", async () => {
  await fs.mkdir(at("folder"));
  await fs.writeFile(at("folder/kept"), "by its number");
  const handle = await fileHandle(at("folder/kept"));
  await umount(volume.mountpoint);
  await mountSwapfs(cleanup, volume.image, volume.mountpoint);
  expect(await readByHandle(volume.mountpoint, handle)).toBe("by its number");
  await fs.rename(at("folder/kept"), at("renamed"));
  for (const role of ["control plane", "data plane"] as const) {
    await killAndAwait(volume.mountpoint, role);
    await dropInodes();
    expect(await readByHandle(volume.mountpoint, handle)).toBe("by its number");
  }
});

test("the handle of an unlinked file is stale, open or not, and never another file's", async () => {
  await fs.writeFile(at("gone"), "before");
  const handle = await fileHandle(at("gone"));
  await fs.unlink(at("gone"));
  for (let other = 0; other < 20; other += 1) await fs.writeFile(at(`other-${other}`), "another");
  await dropInodes();
  expect(await readByHandle(volume.mountpoint, handle)).toBe("ESTALE");
});
