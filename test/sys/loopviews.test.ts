// Which loop devices are block views, and of what, as the kernel tells. On loop devices of its own, over files in memory.

import fs from "node:fs";
import * as path from "node:path";

import { givenDevice } from "#src/bench/device";
import { addon, type AttachedLoop } from "#src/sys/addon";
import { deviceNumberOf } from "#src/sys/blockdevice";
import { bytesOf } from "#src/sys/bytesbelow";
import { attachImage, attachPart } from "#src/sys/loop";
import { attachedTo, loopsSharing, loopViews, mayLieOver, viewName, viewsOfParts } from "#src/sys/loopviews";
import { renewLoop } from "../support/hostdevices";

const page = 4096;
const mib = 2 ** 20;
const uuid = Buffer.alloc(16, 0xab);
const part = { ino: 5, offset: 16 * page, length: 64 * page, span: false };

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

/** The device number of no mount. */
const none = "0:0";
const mine = ({ device }: { device: string }): boolean => attached.some((loop) => loop.device === device);
const ours = () => loopViews().views.filter(mine);

test("loopViews: by name of which file of which volume, and on which bytes; no device without offset and limit, nor one that is not as ours are", () => {
  attach(attachImage(image));
  const odd = view(image, { ...part, offset: 512 }, "somebody's own");
  const [own, foreign] = [view(image), view(image, part, "somebody's")];
  const opened = jest.spyOn(fs, "openSync");
  loopViews();
  expect(opened.mock.calls.map(([file]) => file).filter((file) => attached.some(({ device }) => device === file)).sort()).toEqual([own, foreign].sort());
  opened.mockRestore();
  expect(mine({ device: odd })).toBe(true);
  expect(ours()).toMatchObject([own, foreign].sort().map((device) => ({
    device, offset: part.offset, sizeLimit: part.length, of: device === own ? { uuid: uuid.toString("hex"), ino: 5 } : undefined,
    bytes: [{ from: part.offset, to: part.offset + part.length, by: [] }],
  })));
});

test("viewsOfParts: over the source; elsewhere only where it is named for the volume, and then no device is given", () => {
  const [one, other] = [attach(attachImage(image)).device, attach(attachImage(image)).device]; // the source, attached anew
  const device = view(one);
  const find = (source: string, id = uuid, parts = [part]) => viewsOfParts(fs.statSync(source), id, parts, none);
  expect(find(one)).toEqual([{ device, lives: true }]);
  expect(find(one, uuid, [{ ...part, span: true }])).toEqual([{ device: undefined, lives: true }]); // the device over it has gone
  expect(find(other)).toEqual([{ device: undefined, lives: true }]);
  expect(find(image)).toEqual([{ device: undefined, lives: true }]);
  expect(find(other, Buffer.alloc(16, 1))).toEqual([{ device: undefined, lives: false }]);
  expect(find(one, uuid, [{ ...part, length: page }, part])).toEqual([{ device: undefined, lives: false }, { device, lives: true }]);
  const own = view(other);
  expect([find(one), find(other)]).toEqual([[{ device, lives: true }], [{ device: own, lives: true }]]); // a copy of a volume has its uuid
});

test("ENXIO alone is the answer that nothing is attached: with another error a view may be there, which is said", () => {
  const device = view(image);
  const failing = jest.spyOn(addon(), "loopStatus").mockImplementation(() => {
    throw Object.assign(new Error("EIO: i/o error"), { code: "EIO" });
  });
  try {
    expect(viewsOfParts(fs.statSync(image), uuid, [part], none)).toEqual([{ device, lives: true }]);
    expect([ours(), loopViews().unknown.filter(mine)]).toEqual([[], [{ device, offset: part.offset, sizeLimit: part.length, asked: true, why: "EIO: i/o error" }]]);
    failing.mockImplementation(() => {
      throw Object.assign(new Error("ENXIO"), { code: "ENXIO" });
    });
    expect([viewsOfParts(fs.statSync(image), uuid, [part], none), ours()]).toEqual([[{ device: undefined, lives: false }], []]);
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
  expect(viewsOfParts(fs.statSync(image), uuid, [part], none)).toEqual([{ device: undefined, lives: false }]);
});

test("viewsOfParts: where /sys shows no loop device nothing is known to be gone", () => {
  const listing = jest.spyOn(fs, "readdirSync").mockImplementation(() => []);
  try {
    expect(viewsOfParts(fs.statSync(image), uuid, [part], none)).toEqual([{ device: undefined, lives: true }]);
    listing.mockImplementation(() => {
      throw Object.assign(new Error("EACCES"), { code: "EACCES" });
    });
    expect(viewsOfParts(fs.statSync(image), uuid, [part], none)).toEqual([{ device: undefined, lives: true }]);
  } finally {
    listing.mockRestore();
  }
  expect(viewsOfParts(fs.statSync(image), uuid, [part], none)).toEqual([{ device: undefined, lives: false }]);
});

test("viewsOfParts: a device over a file of the own mount is not opened, and may be what is looked for", () => {
  view(image);
  const { dev } = fs.statSync(image);
  const opened = jest.spyOn(addon(), "loopStatus");
  try {
    expect(viewsOfParts(fs.statSync(image), uuid, [part], deviceNumberOf(dev))).toEqual([{ device: undefined, lives: true }]);
    expect(opened).not.toHaveBeenCalled();
  } finally {
    opened.mockRestore();
  }
});

test("a device over a file on a filesystem that may not answer: not asked, and named; passed over where the source lies elsewhere", () => {
  const device = view(image);
  const table = fs.readFileSync("/proc/self/mountinfo", "utf8");
  const read = fs.readFileSync;
  const mounts = jest.spyOn(fs, "readFileSync").mockImplementation(((file: fs.PathOrFileDescriptor, ...rest: []) =>
    file === "/proc/self/mountinfo" ? `${table}1 1 0:999 / ${folder} rw - nfs4 server:/ rw\n` : read(file, ...rest)) as typeof fs.readFileSync);
  const { loopStatus } = addon();
  const asked: string[] = []; // others have devices on this machine as well
  const asking = jest.spyOn(addon(), "loopStatus").mockImplementation((fd) => {
    asked.push(fs.readlinkSync(`/proc/self/fd/${fd}`));
    return loopStatus(fd);
  });
  try {
    expect(loopViews().unknown.filter(mine)).toEqual([{ device, offset: part.offset, sizeLimit: part.length, asked: false, why: `its file ${image} is on nfs4, which may not answer` }]);
    const [named] = loopViews("/dev/null").unknown.filter(mine);
    expect([named?.asked, mayLieOver(named!, bytesOf(fs.statSync(image))), loopsSharing(__filename)]).toEqual([false, false, []]);
    expect(asked).not.toContain(device);
    expect(loopViews(image).views.filter(mine)).toMatchObject([{ device }]);
    expect(asked).toContain(device);
  } finally {
    mounts.mockRestore();
    asking.mockRestore();
  }
});

test("loopsSharing: over the same bytes by whatever way, but not what the source itself lies on; attachedTo: until it is gone", () => {
  const whole = attach(attachImage(image)).device;
  const [first, second] = [view(image), view(image, { ...part, offset: 200 * page })];
  const over = view(whole);
  const sharing = (source: string): string[] => loopsSharing(source).sort();
  expect(sharing(image)).toEqual([whole, first, second, over].sort());
  expect(sharing(whole)).toEqual([first, second, over].sort());
  expect(sharing(first)).toEqual([whole, over].sort());
  expect(sharing(over)).toEqual([first]);
  expect([mayLieOver({ device: second, asked: true }, bytesOf(fs.statSync(first))), mayLieOver({ device: over, asked: true }, bytesOf(fs.statSync(first)))]).toEqual([false, true]);
  const was = attachedTo(first);
  fs.renameSync(image, `${image}.old`);
  expect([attachedTo(first), was]).toEqual([was, expect.stringMatching(`^${part.offset} ${part.length} `)]);
  expect(() => givenDevice(whole, 0)).toThrow(/lies over it, run swapfs swapoff --all-views, or losetup -d/);
});
