// Volumes with damage: what one copy of everything can make good is opened and said, the rest is refused with exit 11.

import { promises as fs } from "node:fs";
import path from "node:path";

import { crc32c } from "#src/base/crc32c";
import { decodeSuperblock } from "#src/volume/superblock";
import { recordMagic, record_disk, superblock_disk } from "#src/volume/format";

import { mountSwapfs, pidOf, tryMount, umount } from "../support/mounted";
import { Cleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { sh, swapfs } from "../support/mounted-run";

const block = 4096;
const cleanup = new Cleanup();
let dir: string;
let mountpoint: string;
let sound: Buffer;

beforeAll(async () => {
  dir = await scratchDir(cleanup);
  mountpoint = path.join(dir, "mnt");
  const image = path.join(dir, "sound.img");
  await mountSwapfs(cleanup, image, mountpoint, { args: ["--size", "32M"] });
  await fs.writeFile(path.join(mountpoint, "file"), "what it holds");
  await umount(mountpoint);
  sound = await fs.readFile(image);
});
afterAll(() => cleanup.run());

function geometry(): { checkpointA: number; checkpointB: number } {
  const read = decodeSuperblock(sound.subarray(0, block), 0);
  if (read.kind !== "good") throw new Error(`the sound image's superblock is ${read.kind}`);
  return read.fields;
}

/** A copy of the sound image with some blocks overwritten. */
async function damaged(name: string, blocks: readonly number[]): Promise<string> {
  const bytes = Buffer.from(sound);
  for (const at of blocks) bytes.fill(0x5a, at * block + 8, at * block + 200);
  await fs.writeFile(path.join(dir, name), bytes);
  return path.join(dir, name);
}

test.each([
  ["checkpoint A", () => [geometry().checkpointA], /checkpoint/],
  ["checkpoint B", () => [geometry().checkpointB], /checkpoint/],
  ["the superblock", () => [0], /superblock/],
  ["the superblock's copy", () => [1], /superblock/],
] as const)("%s: opens with the other one and says so", async (name, blocks, says) => {
  const image = await damaged(`${name.replaceAll(" ", "-")}.img`, blocks());
  const done = await tryMount(cleanup, image, mountpoint);
  expect(done).toMatchObject({ status: 0 });
  expect(done.stdout + done.stderr).toMatch(says);
  expect(await fs.readFile(path.join(mountpoint, "file"), "utf8")).toBe("what it holds");
  await umount(mountpoint);
  const again = await tryMount(cleanup, image, mountpoint);
  expect(again).toMatchObject({ status: 0 });
  await umount(mountpoint);
  expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
});

test.each([
  ["both checkpoints", () => [geometry().checkpointA, geometry().checkpointB]],
  ["both superblocks", () => [0, 1]],
] as const)("%s: refused with exit 11, nothing changed", async (name, blocks) => {
  const image = await damaged(`${name.replaceAll(" ", "-")}.img`, blocks());
  const before = await fs.readFile(image);
  const done = await tryMount(cleanup, image, mountpoint);
  expect([done.status, done.stderr]).toEqual([11, expect.stringMatching(/^swapfs: cannot .*damaged/)]);
  expect((await fs.readFile(image)).equals(before)).toBe(true);
  expect((await swapfs(["fsck", image])).status).toBe(11);
});

test("a journal record that was durable is damaged: refused with the remedy, fsck lists what is lost, --accept-loss goes on without", async () => {
  const image = await damaged("journal.img", []);
  await mountSwapfs(cleanup, image, mountpoint);
  for (const name of ["one", "two", "three"]) await sh(`cd "$M"; echo ${name} > ${name}; sync -f .`, { env: { M: mountpoint } });
  const bytes = await fs.readFile(image); // as a power cut leaves it
  await umount(mountpoint);
  const records: { at: number; sequence: bigint; names: boolean }[] = [];
  for (let at = 0; at < bytes.length; at += 512) {
    if (bytes.readUInt32LE(at) !== recordMagic) continue;
    const length = bytes.readUInt32LE(at + record_disk.offsets.bytes);
    records.push({ at, sequence: bytes.readBigUInt64LE(at + record_disk.offsets.sequence), names: bytes.subarray(at, at + length).includes("two") });
  }
  const { at, sequence } = records.find(({ names }) => names)!;
  bytes[at + record_disk.size + 3]! ^= 1;
  await fs.writeFile(image, bytes);
  const refused = await tryMount(cleanup, image, mountpoint);
  expect([refused.status, refused.stderr]).toEqual([11, expect.stringMatching(new RegExp(`journal record ${sequence} is damaged .*swapfs fsck .*mount --accept-loss`))]);
  expect((await fs.readFile(image)).equals(bytes)).toBe(true);
  expect(await swapfs(["fsck", image])).toMatchObject({ status: 11, stdout: expect.stringMatching(/lost: what changed in \/three \(inode \d+, new\)/) });
  const accepted = await tryMount(cleanup, image, mountpoint, { args: ["--accept-loss"] });
  expect([accepted.status, accepted.stderr]).toEqual([0, expect.stringMatching(/later records are lost: every change from .*\n.*lost: what changed in \/ \(inode 1\)/)]);
  expect((await fs.readdir(mountpoint)).sort()).toEqual(["file", "one"]);
  await umount(mountpoint);
  expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
});

test("a newer format version is refused, with its number", async () => {
  const bytes = Buffer.from(sound);
  for (const copy of [0, 1]) {
    const superblock = bytes.subarray(copy * block, (copy + 1) * block);
    superblock.writeUInt32LE(9, superblock_disk.offsets.version);
    superblock.writeUInt32LE(0, superblock_disk.offsets.crc32c);
    superblock.writeUInt32LE(crc32c(superblock), superblock_disk.offsets.crc32c);
  }
  const image = path.join(dir, "newer.img");
  await fs.writeFile(image, bytes);
  const done = await tryMount(cleanup, image, mountpoint);
  expect(done.status).toBe(12);
  expect(done.stderr).toMatch(/version is 9/);
  expect((await fs.readFile(image)).equals(bytes)).toBe(true);
});

test("an image that lost its end is refused", async () => {
  const image = path.join(dir, "short.img");
  await fs.writeFile(image, sound.subarray(0, sound.length - (4 << 20)));
  const done = await tryMount(cleanup, image, mountpoint);
  expect([11, 12]).toContain(done.status);
  expect(done.stderr).toMatch(/shorter|short|smaller|too small|damaged/);
});

test("fsck of a mounted volume by its mountpoint: counts anew; by its source: refused, and that is named", async () => {
  const image = await damaged("mounted.img", []);
  await mountSwapfs(cleanup, image, mountpoint);
  await sh(`cd "$M"; dd if=/dev/zero of=a bs=1M count=4 status=none; cp a b; cp a c; printf x | dd of=b conv=notrunc status=none; rm a`, { env: { M: mountpoint } });
  expect(await swapfs(["fsck", mountpoint])).toMatchObject({ status: 0, stdout: expect.stringContaining("is sound: 4 inodes, 4.0 MiB used") });
  expect(JSON.parse((await swapfs(["fsck", mountpoint, "--json"])).stdout)).toMatchObject({ source: mountpoint, sound: true });
  expect(await swapfs(["fsck", image])).toMatchObject({ status: 12, stderr: expect.stringContaining(`or run swapfs fsck ${mountpoint}`) });
  await umount(mountpoint);
  expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
});

test("fsck of a mounted volume whose counts in memory are wrong: exit 11 and what differs; umount and mount make it sound", async () => {
  const image = await damaged("miscounted.img", []);
  process.env["NODE_OPTIONS"] = `--require ${path.join(__dirname, "../support/miscount.js")}`;
  try {
    await mountSwapfs(cleanup, image, mountpoint);
  } finally {
    delete process.env["NODE_OPTIONS"];
  }
  await sh(`cd "$M"; dd if=/dev/urandom of=a bs=1M count=4 status=none; cp a b`, { env: { M: mountpoint } });
  const sum = (): Promise<string> => sh(`cd "$M"; sha256sum a b file`, { env: { M: mountpoint } });
  const before = await sum();
  expect(await swapfs(["fsck", mountpoint])).toMatchObject({ status: 0 });

  process.kill((await pidOf(mountpoint, "control plane"))!, "SIGUSR2");
  const done = await swapfs(["fsck", mountpoint]);
  expect([done.status, done.stderr]).toEqual([11, ""]);
  expect(done.stdout).toMatch(/^error: blocks (\d+) to \1 are used by 2 extents, the count says 3\nerror: (\d+) of \d+ blocks are used by no extent, \d+ are accounted for\n/);
  expect(done.stdout).toMatch(/mnt is damaged: write to it no more, umount it and run swapfs fsck .*miscounted\.img\n$/);
  const json = await swapfs(["fsck", mountpoint, "--json"]);
  expect(json.status).toBe(11);
  expect(JSON.parse(json.stdout)).toMatchObject({ sound: false, findings: [{ severity: "error", kind: "reference-count" }, { severity: "error", kind: "space-count" }] });

  expect(await sum()).toBe(before);
  await umount(mountpoint);
  expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
  await mountSwapfs(cleanup, image, mountpoint);
  expect(await swapfs(["fsck", mountpoint])).toMatchObject({ status: 0 });
  expect(await sum()).toBe(before);
  await umount(mountpoint);
});
