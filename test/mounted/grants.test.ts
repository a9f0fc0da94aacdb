// Writes to new data do not ask: counted, and held against the death of either plane at any moment and a remount.

import { promises as fs } from "node:fs";
import path from "node:path";

import { killAndAwait, mountSwapfs, statusOf, umount } from "../support/mounted";
import { imageUnderTest } from "../support/mounted-image";
import { must, sh, sleep, swapfs } from "../support/mounted-run";

const volume = imageUnderTest("256M");
const { cleanup, at } = volume;

/** READ and WRITE that waited for the control plane, of how many, while `work` ran. */
async function asks(work: () => Promise<unknown>): Promise<{ parked: number; writes: number }> {
  const count = async () => {
    const { counters, requests } = await statusOf(volume.mountpoint);
    return { parked: Number(counters.parked), writes: Number(requests.FUSE_WRITE ?? requests.WRITE ?? 0) };
  };
  const before = await count();
  await work();
  const after = await count();
  return { parked: after.parked - before.parked, writes: after.writes - before.writes };
}

test.each([
  ["4 KiB buffered", "head -c 8M /dev/zero | tr '\\0' x > \"$T\"; dd if=\"$T\" of=\"$F\" bs=4k status=none; cmp \"$T\" \"$F\""],
  ["4 KiB direct", "head -c 8M /dev/zero | tr '\\0' y > \"$T\"; dd if=\"$T\" of=\"$F\" bs=4k oflag=direct status=none; cmp \"$T\" \"$F\""],
  ["17 bytes", "head -c 34000 /dev/zero | tr '\\0' z > \"$T\"; dd if=\"$T\" of=\"$F\" bs=17 status=none; cmp \"$T\" \"$F\""],
])("appends ask once for many: %s", async (name, script) => {
  const file = at(`append ${name}`);
  const T = path.join(path.dirname(volume.image), "pattern");
  const { parked, writes } = await asks(() => sh(script, { env: { F: file, T } }));
  expect(writes).toBeGreaterThanOrEqual(2000);
  expect(parked).toBeLessThan(writes / 20);
});

test("writes all over a preallocated file ask once for many", async () => {
  await must("fallocate", ["-l", "16M", at("prealloc")]);
  const { parked, writes } = await asks(() => must("fio", [
    "--name=job", `--filename=${at("prealloc")}`, "--rw=randwrite", "--bs=4k", "--size=16M", "--direct=1", "--ioengine=psync",
    "--fallocate=none", "--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--verify_state_save=0",
  ]));
  expect(writes).toBeGreaterThanOrEqual(4096);
  expect(parked).toBeLessThan(writes / 20);
  expect((await fs.stat(at("prealloc"))).blocks).toBe(16 * 2048);
});

test("names: absent ones and attributes of folders need no control plane, and no name is ever lost to that", async () => {
  const folder = at("folder");
  await fs.mkdir(folder);
  const names = Array.from({ length: 300 }, (_, n) => ["plain", "\u00e9\u4e2d\u2603", "x".repeat(240), "a b\n"][n % 4]! + n);
  const relayed = async (): Promise<number> => Number((await statusOf(volume.mountpoint)).counters.relayed);
  const before = await relayed();
  for (const name of names) await (await fs.open(path.join(folder, name), "wx")).close();
  expect(await relayed() - before).toBeLessThan(2.5 * names.length); // CREATE and RELEASE
  const { mtimeNs, nlink } = await fs.stat(folder, { bigint: true });
  await fs.mkdir(path.join(folder, "sub"));
  await fs.rename(path.join(folder, names[0]!), path.join(folder, "renamed"));
  const after = await fs.stat(folder, { bigint: true });
  expect([after.nlink - nlink, after.mtimeNs > mtimeNs]).toEqual([1n, true]);
  for (const kill of ["none", "control plane", "data plane"] as const) {
    if (kill !== "none") await killAndAwait(volume.mountpoint, kill);
    await fs.writeFile("/proc/sys/vm/drop_caches", "2");
    for (const name of [...names.slice(1), "renamed", "sub"]) await fs.stat(path.join(folder, name));
    await expect(fs.stat(path.join(folder, names[0]!))).rejects.toMatchObject({ code: "ENOENT" });
  }
  expect((await fs.readdir(folder)).length).toBe(names.length + 1);
});

test("capabilities go at the first write, also where none was known when the program asked before", async () => {
  const shown = await sh(`
    has() { getfattr --only-values -n security.capability "$F" >/dev/null 2>&1 && echo yes || echo no; }
    head -c 10000 /dev/zero > "$F"; has
    set_() { setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 "$F"; has; }
    set_; printf y | dd of="$F" conv=notrunc status=none; has
    set_; printf y >> "$F"; has; printf y >> "$F"; stat -c %s "$F"`, { env: { F: at("capable") } });
  expect(shown.split(/\s+/).filter(Boolean)).toEqual(["no", "yes", "no", "yes", "no", "10002"]);
});

test("acknowledged is there: both planes killed in turn while files grow, then a remount", async () => {
  const models = new Map<string, Buffer>();
  let over = false;
  const grow = async (name: string, step: number): Promise<void> => {
    const handle = await fs.open(at(name), "w+");
    const parts: Buffer[] = [];
    for (let n = 0; !over; n += 1) {
      const part = Buffer.alloc(1 + ((n * 7919) % step), 1 + (n % 255));
      for (let done = 0; done < part.length; ) done += (await handle.write(part, done)).bytesWritten;
      parts.push(part);
      if (n % 200 === 199) expect((await handle.stat()).size).toBe(parts.reduce((sum, { length }) => sum + length, 0));
      if (parts.reduce((sum, { length }) => sum + length, 0) > 16 << 20) {
        await handle.truncate(0);
        await handle.close();
        return grow(name, step);
      }
    }
    await handle.close();
    models.set(name, Buffer.concat(parts));
  };
  const growing = [["g1", 30], ["g2", 5000], ["g3", 100_000]].map(([name, step]) => grow(String(name), Number(step)));
  for (let kill = 0; kill < 6; kill += 1) {
    await sleep(400);
    await killAndAwait(volume.mountpoint, kill % 2 === 0 ? "control plane" : "data plane");
  }
  await sleep(400);
  over = true;
  await Promise.all(growing);
  const same = async (): Promise<boolean[]> => Promise.all([...models].map(async ([name, model]) => (await fs.readFile(at(name))).equals(model)));
  await fs.writeFile("/proc/sys/vm/drop_caches", "1");
  expect(await same()).toEqual([true, true, true]);
  await umount(volume.mountpoint);
  expect(await swapfs(["fsck", volume.image])).toMatchObject({ status: 0 });
  await mountSwapfs(cleanup, volume.image, volume.mountpoint);
  expect(await same()).toEqual([true, true, true]);
});
