import { nameOf } from "#src/engine/fuse-native/calls";
import { FileData } from "#src/engine/fuse-native/filedata";
import { MemoryPort } from "#src/engine/fuse-native/port";
import type { WriteInFlight } from "#src/blocks/write-in-flight";
import { MemoryBlockDevice } from "../support/memory-device";

const page = 4096;
/** What the mapping gives is handed back to it, never looked at. */
const inFlight = {} as WriteInFlight;

function setUp(extents: { filePage: number; devicePage: number; count: number; state: "written" | "unwritten" }[], size: number) {
  const device = new MemoryBlockDevice(16 * page);
  device.write(0, Buffer.alloc(16 * page, "o"));
  const port = new MemoryPort(device);
  const outcomes: number[] = [];
  const data = new FileData({
    ask: () => ({ size, extents, inFlight }), commitWrite: (_write, { error }) => void outcomes.push(error),
  }, device, port);
  return { device, port, data, outcomes };
}

test("FileData.read: extents, zeros for holes and unwritten pages, short at the end", async () => {
  const { data, device } = setUp([
    { filePage: 0, devicePage: 3, count: 1, state: "written" }, { filePage: 2, devicePage: 8, count: 1, state: "unwritten" },
  ], 3 * page - 6);
  device.write(3 * page, Buffer.alloc(page, "a"));
  const into = Buffer.alloc(2 * page + 100, "x");
  expect(await data.read(5, into, page - 100)).toBe(2 * page + 94);
  expect(into.subarray(0, 100).equals(Buffer.alloc(100, "a"))).toBe(true);
  expect(into.subarray(100, 2 * page + 94).every((byte) => byte === 0)).toBe(true);
});

test("FileData.write: the rest of an unwritten page becomes zeros, of a written one it stays", async () => {
  const { data, device, outcomes } = setUp([
    { filePage: 0, devicePage: 3, count: 1, state: "written" }, { filePage: 1, devicePage: 8, count: 1, state: "unwritten" },
  ], 2 * page);
  expect(await data.write(5, Buffer.alloc(200, "n"), page - 100)).toBe(200);
  const written = device.read(3 * page, page).toString();
  expect(written).toBe("o".repeat(page - 100) + "n".repeat(100));
  expect(device.read(8 * page, page).toString("latin1")).toBe("n".repeat(100) + "\0".repeat(page - 100));
  expect(device.read(9 * page, 1).toString()).toBe("o");
  expect(outcomes).toEqual([0]);
});

test("FileData.write: a device that fails fails the write, and its blocks go back", async () => {
  const { data, device, outcomes } = setUp([{ filePage: 0, devicePage: 3, count: 1, state: "written" }], page);
  device.write = () => {
    throw Object.assign(new Error("broken"), { code: "EIO" });
  };
  await expect(data.write(5, Buffer.alloc(10), 0)).rejects.toThrow("broken");
  expect(outcomes).toEqual([-5]);
});

test("MemoryPort.revoke waits for what is moving, and for nothing else", async () => {
  const { port } = setUp([], 0);
  expect(port.inUse(5)).toBe(false);
  await port.revoke(5);
  let over = (): void => undefined;
  const moving = port.during(5, () => new Promise<void>((resolve) => (over = resolve)));
  expect([port.inUse(5), port.inUse(6)]).toEqual([true, false]);
  let revoked = false;
  const revoking = port.revoke(5).then(() => (revoked = true));
  await port.revoke(6);
  expect(revoked).toBe(false);
  over();
  await Promise.all([moving, revoking]);
  expect(port.inUse(5)).toBe(false);
});

test("nameOf: UTF-8 becomes its bytes, what was not UTF-8 is refused", () => {
  expect(nameOf("\u20ac")).toBe("\u00e2\u0082\u00ac");
  expect(() => nameOf("a\ufffd")).toThrow("EINVAL");
});
