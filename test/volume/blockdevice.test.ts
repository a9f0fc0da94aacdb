import { perform } from "#src/volume/blockdevice";
import { MemoryBlockDevice } from "../support/memory-device";

const page = 4096;

/** Offset and length of what `zeros` over [offset, offset + length) writes where `used` bytes are not zero. */
function written(used: readonly number[], offset: number, length: number): [number, number][] {
  const device = new MemoryBlockDevice(16 * page, { record: true });
  for (const at of used) device.poke(at, Buffer.from([1]));
  perform(device, [{ kind: "zeros", offset, length }]);
  expect(device.read(offset, length)).toEqual(Buffer.alloc(length));
  return device.steps.flatMap((step) => (step.kind === "write" ? [[step.offset, step.bytes.length]] : []));
}

test("zeros: pages that are zero already are not written, neighbours that are not at once, the last one as far as it goes", () => {
  expect(written([], 0, 16 * page)).toEqual([]);
  expect(written([page, 3 * page - 1, 7 * page], page, 9 * page)).toEqual([[page, 2 * page], [7 * page, page]]);
  expect(written([0, 10 * page], page, 9 * page)).toEqual([]);
  expect(written([2 * page + 7], page, page + 512)).toEqual([[2 * page, 512]]);
});
