// Block views under deaths and power cuts. Random histories of files and views, then all processes die, or the machine does, at any write that
// was made: after the next mount no block of a view that lives is another file's or free, and none that nobody uses is kept.

import { activate } from "#src/activation/activate";
import { adoptLeases, leasedInodes } from "#src/blocks/block-view";
import { BlockViews, type Attached } from "#src/engine/native/blockviews";
import type { DeviceStep } from "#src/volume/blockdevice";
import { checkDevice } from "#src/volume/fsck";
import { leaseOf } from "#src/volume/lease";
import { opcodes } from "#src/wire/opcodes";
import { FakeLoops } from "../support/fake-loops";
import { MemoryBlockDevice, cut } from "../support/memory-device";
import { FakeHandles, OpsFixture } from "../support/ops-fixture";
import { forSeedsInTurn, type Random } from "../volume/random";

const page = 4096;
const names = ["a", "b", "c", "d"];

/** A control plane that has just started, on a device that may hold anything. */
function mount(device: MemoryBlockDevice, loops: FakeLoops, boot: number) {
  const before = Object.assign(Object.create(OpsFixture.prototype) as OpsFixture, { device, handles: new FakeHandles(), unique: 0n });
  const f: OpsFixture = new OpsFixture({ activate, boot, endGoneViews: () => views.look() }, before);
  adoptLeases(f.fs);
  const views: BlockViews = new BlockViews(f.fs, loops);
  return { f, views };
}

type Mounted = ReturnType<typeof mount>;

/** What was attached after so many writes and flushes of the device. */
interface Moment {
  readonly steps: number;
  readonly attached: FakeLoops["attached"];
}

async function history(random: Random) {
  const formatted = new OpsFixture({ pages: 2048 });
  const { freePages } = formatted.volume.statfs();
  formatted.fs.destroy();
  const base = formatted.device;
  const device = base.clone({ record: true });
  const loops = new FakeLoops();
  loops.runs = Infinity;
  const moments: Moment[] = [];
  const note = (): void => void moments.push({ steps: device.steps.length, attached: loops.attached.map((loop) => ({ ...loop })) });
  loops.changed = note;
  let mounted = mount(device, loops, 1);
  const { ino, fh } = await mounted.f.create("a");
  await mounted.f.fallocate(ino, 0, 0, 20 * page);
  const between = await mounted.f.create("b");
  await mounted.f.fallocate(between.ino, 0, 0, 10 * page);
  await mounted.f.release(between.fh);
  await mounted.f.fallocate(ino, 0, 20 * page, 10 * page);
  await mounted.f.release(fh);
  await swapOn(mounted.views, loops, ino, true);
  for (let n = 0; n < 40; n += 1) {
    await act(mounted, loops, random);
    note();
    if (random.chance(0.05)) {
      mounted.views.endGone();
      mounted.f.fs.destroy();
    } else if (!random.chance(0.05)) continue; // all processes die, between two operations
    note();
    mounted = mount(device, loops, 1);
  }
  return { base, steps: device.steps, moments, freePages };
}

async function act({ f, views }: Mounted, loops: FakeLoops, random: Random): Promise<void> {
  const name = random.pick(names);
  const ino = f.volume.inode(1)!.entries!.get(name)?.ino;
  if (ino === undefined) {
    const made = await f.create(name);
    await f.fallocate(made.ino, 0, 0, (10 + random.below(40)) * page);
    return f.release(made.fh);
  }
  switch (random.below(7)) {
    case 0: return void (await f.call(opcodes.unlink, 1, {}, { name }));
    case 1: return void (await f.truncate(ino, random.below(50) * page));
    case 2: return void (await f.fallocate(ino, random.pick([0, 3]), random.below(50) * page, page));
    case 3: return void (await f.write(ino, random.below(40) * page, "data"));
    case 4: return void (await views.look());
    case 5: {
      const device = random.chance(0.5) ? loops.attached[0]?.device : undefined;
      if (device !== undefined) loops.hold(device, -1);
      return;
    }
    default: return swapOn(views, loops, ino, random.chance(0.8));
  }
}

/** `lasts`: swapon(8) succeeds. */
async function swapOn(views: BlockViews, loops: FakeLoops, ino: number, lasts: boolean): Promise<void> {
  const over = new AbortController();
  const tell = (event: unknown): void => {
    const { device } = event as Attached;
    if (lasts) loops.hold(device, 1);
    over.abort();
  };
  await views.make(ino, false, { tell, signal: over.signal });
}

function prefix(base: MemoryBlockDevice, steps: readonly DeviceStep[]): MemoryBlockDevice {
  const device = base.clone();
  for (const step of steps) if (step.kind === "write") device.poke(step.offset, step.bytes);
  return device;
}

/** What the next mount makes of it. */
async function judge(device: MemoryBlockDevice, attached: FakeLoops["attached"], boot: number, freePages: number): Promise<void> {
  expect(checkDevice(device).findings.filter(({ severity }) => severity === "error")).toEqual([]);
  const loops = new FakeLoops();
  loops.attached = attached.map((loop) => ({ ...loop, holders: 1 })); // of the swap area: those of processes have gone
  const { f, views } = mount(device, loops, boot);
  await views.look();
  for (const { part } of loops.attached) {
    const run = leaseOf(f.volume.inode(part.ino));
    expect([part.ino, run && run.page * page, run && run.count * page]).toEqual([part.ino, part.offset, part.length]);
  }
  expect(leasedInodes(f.fs).sort()).toEqual(loops.attached.map(({ part }) => part.ino).sort());
  for (const name of names) await f.call(opcodes.unlink, 1, {}, { name });
  await f.volume.flush();
  const given = f.volume.allocate(f.volume.statfs().freePages);
  for (const block of loops.attached.flatMap(({ blocks }) => blocks)) {
    expect(given.filter((run) => run.page < block.page + block.count && block.page < run.page + run.count)).toEqual([]);
  }
  f.volume.release(given);
  loops.attached = [];
  await views.look();
  for (const name of names) await f.call(opcodes.unlink, 1, {}, { name });
  await f.volume.flush();
  expect([f.volume.check().findings, f.volume.statfs().freePages]).toEqual([[], freePages]);
}

test("at each write of random histories all processes die, or the machine: no block of a live view is given out, and none is lost for good", async () => {
  let ofSeveral = 0;
  await forSeedsInTurn(6, async (random) => {
    const { base, steps, moments, freePages } = await history(random);
    for (let count = 0; count <= steps.length; count += 1 + random.below(6)) {
      const attached = moments.findLast((moment) => moment.steps <= count)?.attached ?? [];
      ofSeveral += attached.filter(({ blocks }) => blocks.length > 1).length;
      await judge(prefix(base, steps.slice(0, count)), attached, 1, freePages);
      await judge(cut(base, steps.slice(0, count), random.next), [], 2, freePages);
    }
  });
  expect(ofSeveral).toBeGreaterThan(0);
});
