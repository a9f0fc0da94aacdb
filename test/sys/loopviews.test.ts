// Which loop devices are block views, and of what, as the kernel tells. On loop devices of its own, over files in memory.

import fs from "node:fs";
import * as path from "node:path";

import { addon, type AttachedLoop } from "#src/sys/addon";
import { attachImage, attachPart } from "#src/sys/loop";
import { loopViews, viewName, viewsOfParts } from "#src/sys/loopviews";
import { renewLoop } from "../support/hostdevices";

const page = 4096;
const mib = 2 ** 20;
const uuid = Buffer.alloc(16, 0xab);
const part = { ino: 5, offset: 16 * page, length: 64 * page };

let folder: string;
let image: string;
const attached: AttachedLoop[] = [];

beforeEach(() => {
  folder = fs.mkdtempSync("/dev/shm/swapfs-views-");
  image = path.join(folder, "disk.img");
  fs.writeFileSync(image, "");
  fs.truncateSync(image, 4 * mib);
});
afterEach(async () => {
  for (const { fd } of attached) fs.closeSync(fd);
  for (const { device } of attached.splice(0)) for (let n = 0; n < 200 && !renewLoop(device); n += 1) await new Promise((resolve) => setTimeout(resolve, 10));
  fs.rmSync(folder, { recursive: true });
});

function attach(loop: AttachedLoop): AttachedLoop {
  attached.push(loop);
  return loop;
}

function view(file: string, { ino, ...at } = part, name = viewName(uuid, ino)): string {
  return attach(attachPart(() => fs.openSync(file, "r+"), "a part", { ...at, name, discard: false })).device;
}

const ours = () => loopViews().filter(({ device }) => attached.some((loop) => loop.device === device));

test("loopViews: by name of which file of which volume, and on which bytes; no device without offset and limit", () => {
  attach(attachImage(image));
  const [own, foreign] = [view(image), view(image, part, "somebody's")];
  const opened = jest.spyOn(fs, "openSync");
  loopViews();
  expect(opened.mock.calls.map(([file]) => file).filter((file) => attached.some(({ device }) => device === file)).sort()).toEqual([own, foreign].sort());
  opened.mockRestore();
  expect(ours()).toMatchObject([own, foreign].sort().map((device) => ({
    device, offset: part.offset, sizeLimit: part.length, of: device === own ? { uuid: uuid.toString("hex"), ino: 5 } : undefined,
    bytes: [{ from: part.offset, to: part.offset + part.length, by: [] }],
  })));
});

test("viewsOfParts: over the source; elsewhere only where it is named for the volume, and then no device is given", () => {
  const [one, other] = [attach(attachImage(image)).device, attach(attachImage(image)).device]; // the source, attached anew
  const device = view(one);
  const find = (source: string, id = uuid, parts = [part]) => viewsOfParts(fs.statSync(source), id, parts);
  expect(find(one)).toEqual([{ device, lives: true }]);
  expect(find(other)).toEqual([{ device: undefined, lives: true }]);
  expect(find(image)).toEqual([{ device: undefined, lives: true }]);
  expect(find(other, Buffer.alloc(16, 1))).toEqual([{ device: undefined, lives: false }]);
  expect(find(one, uuid, [{ ...part, length: page }, part])).toEqual([{ device: undefined, lives: false }, { device, lives: true }]);
  const own = view(other);
  expect([find(one), find(other)]).toEqual([[{ device, lives: true }], [{ device: own, lives: true }]]); // a copy of a volume has its uuid
});

test("ENXIO alone is the answer that nothing is attached: with another error a view may be there, and who must know is told", () => {
  const device = view(image);
  const failing = jest.spyOn(addon(), "loopStatus").mockImplementation(() => {
    throw Object.assign(new Error("EIO: i/o error"), { code: "EIO" });
  });
  try {
    expect(viewsOfParts(fs.statSync(image), uuid, [part])).toEqual([{ device, lives: true }]);
    expect(() => loopViews()).toThrow(/cannot tell what \/dev\/loop\d+ is attached to.*EIO.*losetup -d/);
    failing.mockImplementation(() => {
      throw Object.assign(new Error("ENXIO"), { code: "ENXIO" });
    });
    expect([viewsOfParts(fs.statSync(image), uuid, [part]), ours()]).toEqual([[{ device: undefined, lives: false }], []]);
  } finally {
    failing.mockRestore();
  }
});

test("a device whose discards cannot be forbidden is let go: no descriptor and no device stays", () => {
  const before = fs.readdirSync("/proc/self/fd").length;
  const failing = jest.spyOn(fs, "writeFileSync").mockImplementation(() => {
    throw Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
  });
  try {
    expect(() => attachPart(() => fs.openSync(image, "r+"), "the blocks", { ...part, name: viewName(uuid, 5), discard: false }))
      .toThrow(/cannot attach the blocks to a loop device: EMFILE/);
  } finally {
    failing.mockRestore();
  }
  expect(fs.readdirSync("/proc/self/fd").length).toBe(before);
  expect(viewsOfParts(fs.statSync(image), uuid, [part])).toEqual([{ device: undefined, lives: false }]);
});
