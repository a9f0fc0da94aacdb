// Volume: what a commit promises, when space is free again, and what failures leave.

import { FsError } from "#src/base/errors";
import type { Change } from "#src/volume/changes";
import { Volume } from "#src/volume/volume";
import { attributes, dataStart, fill, newFile, smallDevice, withKeptBack } from "./small";

function codeOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof FsError) return error.code;
    throw error;
  }
  return "nothing thrown";
}

test("Volume.open: a new volume has a root directory and all of its data area free", () => {
  const volume = Volume.open(smallDevice(), { boot: 0 });
  expect(volume.inode(1)).toMatchObject({ mode: 0o040755, nlink: 2, parent: 1 });
  expect(volume.statfs()).toMatchObject({ pages: 192, freePages: 192, inodes: 1 });
  expect(volume.warnings).toEqual([]);
  expect(volume.allocate(1)[0]!.page).toBeGreaterThanOrEqual(dataStart);
});

test("Volume.commit: returns what no file uses any more, and nothing else", () => {
  const volume = Volume.open(smallDevice(), { boot: 0 });
  const ino = newFile(volume, "a");
  const [run] = volume.allocate(10) as [{ page: number; count: number }];
  const extent = { filePage: 0, devicePage: run.page, count: 10, state: "unwritten" as const };
  expect(volume.commit([{ kind: "set-extents", ino, filePage: 0, count: 10, extents: [extent] }])).toEqual([]);
  const written = { filePage: 2, devicePage: run.page + 2, count: 3, state: "written" as const };
  expect(volume.commit([{ kind: "set-extents", ino, filePage: 2, count: 3, extents: [written] }])).toEqual([]);
  expect(volume.commit([{ kind: "set-extents", ino, filePage: 1, count: 3, extents: [] }])).toEqual([
    { page: run.page + 1, count: 1 }, { page: run.page + 2, count: 2 },
  ]);
  expect(volume.inode(ino)!.pages).toBe(7);
});

test("Volume.commit: shared blocks are free when the last file has dropped them", () => {
  const volume = Volume.open(smallDevice(), { boot: 0 });
  const [a, b] = [newFile(volume, "a"), newFile(volume, "b")];
  fill(volume, a, 0, 4);
  const [extent] = [...volume.inode(a)!.extents];
  const shared = { ...extent!, state: "shared" as const };
  const range = { filePage: 0, count: 4 };
  expect(volume.commit([
    { kind: "set-extents", ino: a, ...range, extents: [shared] }, { kind: "set-extents", ino: b, ...range, extents: [shared] },
  ])).toEqual([]);
  expect(volume.soleRuns(extent!.devicePage, 1)).toEqual([]);
  expect(volume.commit([{ kind: "set-extents", ino: a, ...range, extents: [] }])).toEqual([]);
  expect(volume.commit([{ kind: "set-extents", ino: b, ...range, extents: [] }])).toEqual([{ page: extent!.devicePage, count: 4 }]);
});

test("Volume.release: a page is given out again only when the record that dropped it is durable", async () => {
  const device = smallDevice();
  const volume = Volume.open(device, { boot: 0 });
  const ino = newFile(volume, "a");
  fill(volume, ino, 0, 192);
  expect(codeOf(() => volume.allocate(1))).toBe("ENOSPC");
  const runs = volume.commit([{ kind: "set-extents", ino, filePage: 0, count: 100, extents: [] }]);
  expect(codeOf(() => volume.allocate(1))).toBe("ENOSPC");
  expect(volume.statfs().freePages).toBe(0);
  volume.release(runs);
  expect(volume.statfs().freePages).toBe(100);
  expect(device.discarded).toEqual([{ page: dataStart, count: withKeptBack(192) }]);
  const flushes = device.flushes;
  expect(volume.allocate(60)).toHaveLength(1);
  expect(device.flushes).toBe(flushes + 2); // of the record that dropped it, and of the note that it is durable
  expect(device.discarded.at(-1)).toEqual({ page: dataStart, count: 100 });
  volume.release(volume.commit([{ kind: "drop-entry", parent: 1, name: "a" }, { kind: "drop-inode", ino }]));
  await volume.flush();
  expect(volume.allocate(132)).toBeDefined();
});

test("Volume.release: a reservation that is not used, in parts", () => {
  const volume = Volume.open(smallDevice(), { boot: 0 });
  const ino = newFile(volume, "a");
  const [run] = volume.allocate(10) as [{ page: number; count: number }];
  volume.commit([{ kind: "set-extents", ino, filePage: 0, count: 4, extents: [{ filePage: 0, devicePage: run.page + 3, count: 4, state: "written" }] }]);
  volume.release([{ page: run.page, count: 3 }, { page: run.page + 7, count: 3 }]);
  expect(volume.statfs().freePages).toBe(188);
  expect(() => volume.release([{ page: run.page + 3, count: 1 }])).toThrow("were dropped or reserved");
});

test("Volume.allocate: a host without room gives ENOSPC and reserves nothing", () => {
  const device = smallDevice();
  const volume = Volume.open(device, { boot: 0 });
  device.backingLeft = 5;
  expect(codeOf(() => volume.allocate(6))).toBe("ENOSPC");
  expect(volume.statfs().freePages).toBe(192);
  expect(volume.allocate(5)).toEqual([{ page: expect.any(Number), count: 5 }]);
});

test("Volume.commit: a failed write throws EIO, changes nothing in memory, and the volume is read-only from then on", async () => {
  const device = smallDevice();
  const volume = Volume.open(device, { boot: 0 });
  const ino = newFile(volume, "a");
  const before = volume.stats().sequence;
  device.writesLeft = 0;
  const log = jest.spyOn(process.stderr, "write").mockReturnValue(true);
  expect(codeOf(() => volume.commit([{ kind: "put-inode", ino, attributes: attributes(0o100644) }]))).toBe("EIO");
  expect(String(log.mock.calls[0]![0])).toContain("the volume is read-only now");
  expect(volume.warnings).toEqual([expect.stringMatching(/^the device failed: .*swapoff, umount, and mount it again$/)]);
  log.mockRestore();
  expect(volume.inode(ino)!.mode).toBe(0o100600);
  expect(volume.stats().sequence).toBe(before);
  device.writesLeft = Infinity;
  expect(codeOf(() => volume.commit([{ kind: "put-inode", ino, attributes: attributes(0o100644) }]))).toBe("EROFS");
  expect(codeOf(() => volume.allocate(1))).toBe("EROFS");
  await expect(volume.flush()).rejects.toThrow("cannot commit on memory");
  volume.close();
  expect(Volume.open(device, { boot: 0 }).inode(ino)!.mode).toBe(0o100600);
});

test("Volume.flush: callers that come together share one, a failed one rejects with EIO", async () => {
  const device = smallDevice();
  const volume = Volume.open(device, { boot: 0 });
  const flushes = device.flushes;
  const first = volume.flush();
  await Promise.resolve();
  await Promise.all([first, volume.flush(), volume.flush(), volume.flush()]);
  expect(device.flushes - flushes).toBeLessThanOrEqual(2);
  device.flushesLeft = 0;
  const log = jest.spyOn(process.stderr, "write").mockReturnValue(true);
  await expect(volume.flush()).rejects.toMatchObject({ code: "EIO" });
  log.mockRestore();
  expect(volume.readOnly).toBe(true);
});

test("Volume.doneRequest: at least 4,096 are kept, across checkpoints and a crash", () => {
  const device = smallDevice();
  let volume = Volume.open(device, { boot: 0 });
  for (let n = 1; n <= 4200; n += 1) {
    volume.commit([{ kind: "put-inode", ino: 1, attributes: attributes(0o040755, { nlink: 2 }) }], { session: 9n, unique: BigInt(2 * n), ino: n });
  }
  const check = (): void => {
    expect(volume.doneRequest(9n, 2n * 4200n)).toEqual({ session: 9n, unique: 8400n, ino: 4200 });
    expect(volume.doneRequest(9n, 2n * 105n)?.ino).toBe(105);
    expect(volume.doneRequest(9n, 2n * 104n)).toBeUndefined();
    expect(volume.doneRequest(8n, 8400n)).toBeUndefined();
  };
  check();
  volume = Volume.open(device, { boot: 0 });
  check();
});

test("Volume.nextIno: no number comes twice, not after a close, a crash, or a crash that lost the commits", () => {
  const device = smallDevice();
  let volume = Volume.open(device, { boot: 0 });
  const image = device.clone();
  const first = volume.nextIno();
  volume.close();
  volume = Volume.open(device, { boot: 0 });
  expect(volume.nextIno()).toBe(first + 1);
  expect(Volume.open(device, { boot: 0 }).nextIno()).toBeGreaterThan(first + 1);
  // Of `image` everything after the first open was lost.
  expect(Volume.open(image, { boot: 0 }).nextIno()).toBeGreaterThan(first + 1000);
});

test("Volume.commit: ENOSPC before a checkpoint could overflow, and what is full can be emptied", () => {
  const device = smallDevice();
  let volume = Volume.open(device, { boot: 0 });
  let made = 0;
  const code = codeOf(() => {
    for (;; made += 1) newFile(volume, `file${made}`);
  });
  expect(code).toBe("ENOSPC");
  expect(made).toBeGreaterThan(100);
  expect(volume.statfs().inodes).toBe(made + 1);
  volume.checkpoint();
  volume = Volume.open(device, { boot: 0 });
  for (let n = 0; n < made; n += 1) {
    const { ino } = volume.inode(1)!.entries!.get(`file${n}`)!;
    volume.commit([{ kind: "drop-entry", parent: 1, name: `file${n}` }, { kind: "drop-inode", ino }]);
  }
  expect(volume.statfs().inodes).toBe(1);
  expect(volume.check().findings).toEqual([]);
});

test("Volume.commit: a record longer than a journal half is refused, nothing changes", () => {
  const volume = Volume.open(smallDevice(), { boot: 0 });
  const ino = newFile(volume, "a");
  const value = Buffer.alloc(9000);
  expect(codeOf(() => volume.commit([{ kind: "put-xattr", ino, name: "user.a", value }]))).toBe("ENOSPC");
  expect(volume.inode(ino)!.xattrs.size).toBe(0);
});

test("Volume.commit: changes that make no sense are a bug of the caller, and change nothing", () => {
  const volume = Volume.open(smallDevice(), { boot: 0 });
  const ino = newFile(volume, "a");
  const sequence = volume.stats().sequence;
  const extent = { filePage: 0, devicePage: dataStart, count: 1, state: "written" as const };
  const wrong = [
    [], [{ kind: "drop-entry", parent: 1, name: "b" }], [{ kind: "put-entry", parent: ino, name: "b", ino, type: 8 }],
    [{ kind: "put-entry", parent: 1, name: "a/b", ino, type: 8 }], [{ kind: "put-entry", parent: 1, name: "n".repeat(256), ino, type: 8 }],
    [{ kind: "set-extents", ino, filePage: 0, count: 1, extents: [extent] }],
    [{ kind: "set-extents", ino, filePage: 0, count: 1, extents: [{ ...extent, devicePage: 1 }] }],
    [{ kind: "put-inode", ino: 77, attributes: attributes(0o100600) }], [{ kind: "put-inode", ino, attributes: attributes(0o040700) }],
    [{ kind: "drop-inode", ino: 99 }], [{ kind: "drop-xattr", ino, name: "user.a" }],
  ] as const;
  for (const changes of wrong) expect(() => volume.commit(changes)).toThrow("invariant broken");
  expect(volume.stats().sequence).toBe(sequence);
});

test("Volume: orphans are known after a crash, with their blocks", () => {
  const device = smallDevice();
  let volume = Volume.open(device, { boot: 0 });
  const ino = newFile(volume, "a");
  fill(volume, ino, 0, 8);
  volume.commit([{ kind: "drop-entry", parent: 1, name: "a" }, { kind: "put-inode", ino, attributes: attributes(0o100600, { nlink: 0 }) }]);
  volume = Volume.open(device, { boot: 0 });
  expect(volume.orphans()).toEqual([ino]);
  expect(volume.statfs().freePages).toBe(184);
  volume.release(volume.commit([{ kind: "drop-inode", ino }]));
  expect(volume.orphans()).toEqual([]);
  expect(volume.statfs().freePages).toBe(192);
});

test("Volume.open readOnly: writes nothing, and commits are refused with EROFS", () => {
  const device = smallDevice();
  Volume.open(device, { boot: 0 }).close();
  const before = device.read(0, device.byteLength);
  const volume = Volume.open(device, { readOnly: true });
  expect(codeOf(() => volume.commit([{ kind: "drop-inode", ino: 1 }]))).toBe("EROFS");
  volume.close();
  expect(device.read(0, device.byteLength).equals(before)).toBe(true);
});

test("commit: an extent uses what is reserved, or its own where it was; another file's page only when both say shared", () => {
  const volume = Volume.open(smallDevice(), { boot: 0 });
  const [a, b] = [newFile(volume, "a"), newFile(volume, "b")];
  fill(volume, a, 0, 4);
  const { devicePage } = volume.inode(a)!.extents.find(0)!;
  const put = (ino: number, filePage: number, page: number, state: "written" | "shared" = "written"): Change => ({
    kind: "set-extents", ino, filePage, count: 1, extents: [{ filePage, devicePage: page, count: 1, state }],
  });
  const free = volume.allocate(1);
  volume.giveBack(free);
  for (const bad of [put(b, 0, devicePage), put(a, 9, devicePage), put(b, 0, free[0]!.page)]) expect(() => volume.commit([bad])).toThrow(/reserved, or its own|allocated/);
  volume.commit([put(a, 0, devicePage)]);
  volume.commit([put(a, 0, devicePage, "shared"), put(b, 0, devicePage, "shared")]);
  expect(() => volume.commit([put(b, 0, devicePage)])).toThrow(/reserved, or its own/);
});
