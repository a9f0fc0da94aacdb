// Power cuts while a file is prepared.

import { bytesOfPages, pageSize } from "#src/base/units";
import { prepare } from "#src/blocks/prepare/prepare";
import { MemoryBlockDevice, cut } from "../support/memory-device";
import { Volume } from "#src/volume/volume";
import { OpsFixture } from "../support/ops-fixture";
import { fileOf, forSeedsAsync, patterned, share } from "../support/preparing";

test("a power cut at any step: the volume opens, and both files hold what they held", async () => {
  await forSeedsAsync(20, async (random) => {
    const device = new MemoryBlockDevice(bytesOfPages(8192), { record: true });
    const f = new OpsFixture({ device });
    const content = patterned(220, random.below(100));
    const a = await fileOf(f, "a", content);
    const b = await fileOf(f, "b", Buffer.alloc(1));
    await f.truncate(b, content.length + 50 * pageSize);
    share(f, a, b);
    f.volume.checkpoint();
    await f.volume.flush();
    const base = device.clone();
    device.steps = [];
    const contiguous = random.chance(0.5);
    await prepare(f.fs, b, { contiguous, stepMax: { allocate: 32, unshare: 32, move: 32, rewrite: 32 } });
    // Blocks that were given up are given out again at once.
    await f.write(await fileOf(f, "c", Buffer.alloc(1)), 0, Buffer.alloc(60 * pageSize, 0xcc));
    const expected = Buffer.concat([content, Buffer.alloc(50 * pageSize)]);
    expect(device.steps.length).toBeGreaterThan(8);
    for (let count = 0; count <= device.steps.length; count += 1) {
      const left = cut(base, device.steps.slice(0, count), random.next);
      const volume = Volume.open(left, { readOnly: true });
      expect(volume.check().findings.filter(({ severity }) => severity === "error")).toEqual([]);
      expect(contentOf(volume, left, a).equals(content)).toBe(true);
      expect(contentOf(volume, left, b).equals(expected)).toBe(true);
    }
  });
}, 120_000);

function contentOf(volume: Volume, device: MemoryBlockDevice, ino: number): Buffer {
  const inode = volume.inode(ino)!;
  const content = Buffer.alloc(inode.size);
  for (const extent of inode.extents) {
    if (extent.state === "unwritten") continue;
    device.read(bytesOfPages(extent.devicePage), bytesOfPages(extent.count)).copy(content, bytesOfPages(extent.filePage));
  }
  return content;
}
