// One mutated volume: opened, looked at, changed and closed. A refusal that says why, or a volume of which no part harms another.

import { FsError, UserError } from "#src/base/errors";
import { checkDevice, isSound, type FindingKind } from "#src/volume/fsck";
import type { MemoryBlockDevice } from "../support/memory-device";
import { Volume } from "#src/volume/volume";
import { decodeDirents } from "#src/wire/dirent";
import { opcodes } from "#src/wire/opcodes";
import { FakeHandles, OpsFixture } from "../support/ops-fixture";
import { dumpVolume } from "../volume/model";
import { Driver } from "../volume/operations";
import { Random } from "../volume/random";
import { smallDevice } from "../volume/small";
import { mutate } from "./mutations";

/** What a volume that was opened for writing must never be found with: swap would overwrite what is not its own. */
const harmful: readonly FindingKind[] = ["extent-outside", "extent-overlap", "reference-count", "free-and-used", "space-count"];

/** Volumes with both checkpoints, records in both halves, clones, links and attributes. */
const subjects = [3, 5, 11].map((seed) => {
  const device = smallDevice();
  const volume = Volume.open(device, { boot: 7 });
  const driver = new Driver(volume, new Random(seed));
  for (let n = 0; n < 25; n += 1) driver.step();
  volume.checkpoint();
  for (let n = 0; n < 4; n += 1) driver.step();
  if (seed === 11) volume.close();
  return device;
});

/** undefined: refused in words. */
function refusable<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof UserError) || error.message.length < 20) throw error;
    return undefined;
  }
}

function look(device: MemoryBlockDevice): boolean {
  const report = refusable(() => checkDevice(device));
  const volume = refusable(() => Volume.open(device, { readOnly: true }));
  if (volume === undefined) return false;
  dumpShort(volume);
  volume.check();
  volume.stats();
  volume.close();
  return report !== undefined && isSound(report);
}

/** Extents of billions of pages are not written out. */
function dumpShort(volume: Volume): void {
  const pages = [...volume.inodes()].reduce((sum, inode) => sum + inode.pages, 0);
  if (pages < 10_000) dumpVolume(volume);
}

/** Every name, every attribute, every byte; then each is removed. */
async function use(f: OpsFixture): Promise<void> {
  const seen = new Set<number>();
  const visit = async (ino: number): Promise<void> => {
    if (seen.has(ino)) return;
    seen.add(ino);
    const listed = await f.call(opcodes.readdirplus, ino, { size: 65536 });
    if (listed.error !== undefined) return;
    const names = decodeDirents((await f.ok(opcodes.readdir, ino, { size: 65536 })).bytes).map(({ name }) => name);
    for (const name of names.filter((one) => one !== "." && one !== "..")) {
      const found = await f.call(opcodes.lookup, ino, {}, { name });
      if (found.error !== undefined) continue;
      const child = Number((found as unknown as { nodeid: bigint }).nodeid);
      await f.call(opcodes.listxattr, child, { size: 65536 });
      await f.call(opcodes.readlink, child);
      await f.read(child, 0, 64 * 1024).catch(typed);
      await f.write(child, 100, "something");
      await f.fallocate(child, 3, 4096, 8192);
      await f.truncate(child, 5000);
      await visit(child);
      await f.call(opcodes.unlink, ino, {}, { name });
      await f.call(opcodes.rmdir, ino, {}, { name });
    }
  };
  await visit(1);
  const made = await f.call(opcodes.mknod, 1, { mode: 0o100600 }, { name: "made" });
  if (made.error === undefined) await f.write(Number((made as unknown as { nodeid: bigint }).nodeid), 0, "data");
}

function typed(error: unknown): void {
  if (!(error instanceof FsError)) throw error;
}

async function change(device: MemoryBlockDevice, wasSound: boolean): Promise<boolean> {
  const before = { device, handles: new FakeHandles(), unique: 0n } as unknown as OpsFixture;
  const f = refusable(() => new OpsFixture({}, before));
  if (f === undefined) return false;
  await use(f);
  f.volume.close();
  const { findings } = checkDevice(device);
  const wrong = findings.filter(({ severity, kind }) => severity === "error" && (wasSound || harmful.includes(kind)));
  if (wrong.length > 0) throw new Error(`opened, used and closed, fsck says ${JSON.stringify(wrong)}`);
  return true;
}

/** False: it was refused. Throws when something else happens than that, or that all goes well. */
export async function openMutated(seed: number): Promise<boolean> {
  const random = new Random(seed);
  const device = random.pick(subjects).clone();
  mutate(device, random);
  return change(device, look(device));
}
