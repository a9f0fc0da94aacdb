// 10,000 files: they are all there, after a remount too.

import { promises as fs } from "node:fs";
import path from "node:path";

import { mountSwapfs, umount } from "../support/mounted";
import { withCleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";

test("10,000 files in 100 directories, listed, found, removed", async () => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const image = path.join(dir, "disk.img");
    const mountpoint = path.join(dir, "mnt");
    await mountSwapfs(cleanup, image, mountpoint, { args: ["--size", "512M"] });
    const before = await fs.statfs(mountpoint);
    for (let folder = 0; folder < 100; folder += 1) {
      await fs.mkdir(path.join(mountpoint, `d${folder}`));
      await Promise.all(numbers(100).map((file) => fs.writeFile(path.join(mountpoint, `d${folder}/f${file}`), `${folder}/${file}`)));
    }
    await umount(mountpoint);
    await mountSwapfs(cleanup, image, mountpoint);
    for (let folder = 0; folder < 100; folder += 1) {
      expect((await fs.readdir(path.join(mountpoint, `d${folder}`))).length).toBe(100);
      expect(await fs.readFile(path.join(mountpoint, `d${folder}/f${folder}`), "utf8")).toBe(`${folder}/${folder}`);
    }
    for (const name of await fs.readdir(mountpoint)) await fs.rm(path.join(mountpoint, name), { recursive: true });
    await umount(mountpoint);
    await mountSwapfs(cleanup, image, mountpoint);
    expect((await fs.statfs(mountpoint)).bfree).toBe(before.bfree);
  });
});

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
