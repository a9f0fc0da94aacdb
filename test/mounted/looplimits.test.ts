// Where no loop device can be had: the command says why, and leaves nothing behind.

import { promises as fs } from "node:fs";
import path from "node:path";

import { withCleanup } from "../support/mounted-cleanup";
import { leftIn, scratchDir } from "../support/mounted-devices";
import { projectDir, run } from "../support/mounted-run";

/** Mounts an image in a mount namespace whose /dev has what is named, and no node of any loop device. */
async function mountWithDev(nodes: string, before: string): Promise<{ status: number; stderr: string; left: string[] }> {
  return withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    await fs.mkdir(path.join(dir, "mnt"));
    const script = `
      mkdir "$D/dev"; mount -t tmpfs none "$D/dev"; for n in null zero urandom random ${nodes}; do cp -a "/dev/$n" "$D/dev/"; done
      mount --move "$D/dev" /dev; rmdir "$D/dev"; ${before}
      exec "$NODE" "$MAIN" mount "$D/disk.img" "$D/mnt" --size 32M`;
    const env = { D: dir, NODE: process.execPath, MAIN: path.join(projectDir, "dist/cli/main.js") };
    const { status, stderr } = await run("unshare", ["-m", "--propagation", "private", "sh", "-euc", script], { env });
    expect(await leftIn(dir)).toEqual([]);
    return { status, stderr, left: (await fs.readdir(dir)).sort() };
  });
}

test("the loop device's node is missing, as in a container with a /dev of its own", async () => {
  const done = await mountWithDev("fuse loop-control", "");
  expect(done).toMatchObject({ status: 12, left: ["mnt"] });
  expect(done.stderr).toMatch(/cannot attach .*disk\.img to a loop device: .*its device node is missing: is \/dev a devtmpfs\?/);
});

test("too few descriptors for a loop device", async () => {
  const done = await mountWithDev("fuse loop-control", "ulimit -n 20");
  expect(done).toMatchObject({ status: 12, left: ["mnt"] });
  expect(done.stderr).toMatch(/cannot attach .*disk\.img to a loop device: EMFILE.*raise ulimit -n/);
});
