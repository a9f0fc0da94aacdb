// What commands make of block views and of loop devices that may be some: on loop devices of its own, over volumes in memory; no swap.

import fs from "node:fs";
import path from "node:path";

import { UserError } from "#src/base/errors";
import { Interrupted } from "#src/cli/common/outcome";
import { lockForWriting } from "#src/cli/mount/inuse";
import { adoptsViews } from "#src/cli/mount/mounting";
import { formatVolume } from "#src/cli/mount/volumefile";
import { swapOffView } from "#src/cli/swap/blockview";
import { removedAfter } from "#src/cli/swap/create";
import { openWritable, withDevice } from "#src/engine/sourcedevice";
import { addon, type AttachedLoop } from "#src/sys/addon";
import { attachPart } from "#src/sys/loop";
import { viewName } from "#src/sys/loopviews";
import { leaseChange } from "#src/volume/lease";
import { Volume } from "#src/volume/volume";
import { renewLoop } from "../support/hostdevices";
import { fill, newFile } from "../volume/small";

const page = 4096;

let folder: string;
let image: string;
let other: string;
const attached: AttachedLoop[] = [];

beforeEach(() => {
  folder = fs.mkdtempSync("/dev/shm/swapfs-commands-");
  [image, other] = ["disk.img", "other.img"].map((name) => path.join(folder, name)) as [string, string];
  for (const file of [image, other]) {
    fs.writeFileSync(file, "");
    fs.truncateSync(file, 16 << 20);
  }
  formatVolume(image);
});
afterEach(async () => {
  jest.restoreAllMocks();
  for (const loop of attached) letGo(loop);
  for (const { device } of attached.splice(0)) for (let n = 0; n < 200 && !renewLoop(device); n += 1) await new Promise((resolve) => setTimeout(resolve, 10));
  fs.rmSync(folder, { recursive: true });
});

const closed = new Set<AttachedLoop>();
function letGo(loop: AttachedLoop): void {
  if (!closed.has(loop)) fs.closeSync(loop.fd);
  closed.add(loop);
}

/** A file of 20 pages, leased, and the view of it over `over`. */
function leasedView(over = image): AttachedLoop {
  const { uuid, ino, offset } = withDevice(openWritable(image), (device) => {
    const volume = Volume.open(device, { boot: 0 });
    const made = newFile(volume, "a");
    fill(volume, made, 0, 20);
    const run = volume.inode(made)!.extents.find(0)!;
    volume.commit([leaseChange(made, { page: run.devicePage, count: 20 })]);
    volume.close();
    return { uuid: volume.geometry.uuid, ino: made, offset: run.devicePage * page };
  });
  return part(over, { offset, length: 20 * page, name: viewName(uuid, ino) });
}

function part(file: string, at: { offset: number; length: number; name: string }): AttachedLoop {
  const loop = attachPart(() => fs.openSync(file, "r+"), "a part", { ...at, discard: false });
  attached.push(loop);
  return loop;
}

/** As `locked`, of what is refused: without the wait for a predecessor that may be ending. */
async function refusal(adopts: boolean): Promise<string> {
  let now = Date.now();
  const clock = jest.spyOn(Date, "now").mockImplementation(() => (now += 2000));
  return locked(adopts).finally(() => clock.mockRestore());
}

async function locked(adopts: boolean): Promise<string> {
  try {
    fs.closeSync(await lockForWriting(image, "mount", adopts));
    return "locked";
  } catch (error) {
    return (error as Error).message;
  }
}

test("a mount takes a leased view over; one with --accept-loss, which may lose the lease, does not, and says what to do", async () => {
  expect([{}, { acceptLoss: false }, { acceptLoss: true }].map((asked) => adoptsViews({ engine: "native", ...asked }, { first: "open" }))).toEqual([true, true, false]);
  const { device } = leasedView();
  expect(await locked(true)).toBe("locked");
  expect(await refusal(false)).toMatch(`has a block view, ${device}: run swapfs swapoff --all-views first`);
});

test("where /sys shows no loop device a volume with leases is mounted, which takes them over, and not resized, formatted or mounted otherwise", async () => {
  letGo(leasedView());
  const [read, hidden] = [fs.readdirSync, jest.spyOn(fs, "readdirSync")];
  hidden.mockImplementation(((folder: string, ...rest: []) => (folder === "/sys/block" ? [] : read(folder, ...rest))) as typeof fs.readdirSync);
  expect([await locked(true), await refusal(false)]).toEqual(["locked", expect.stringMatching("leased to block views, and /sys/block shows no loop device")]);
  formatVolume(image);
  expect(await locked(false)).toBe("locked");
});

test("a loop device that cannot be asked: in the way only of what it may lie over, by its file or by a lease", async () => {
  const failing = jest.spyOn(addon(), "loopStatus").mockImplementation(() => {
    throw Object.assign(new Error("EPERM: operation not permitted"), { code: "EPERM" });
  });
  const { offset, length } = { offset: 8 << 20, length: page };
  const foreign = part(other, { offset, length, name: "x" });
  const opened = jest.spyOn(Volume, "open");
  expect([await locked(true), opened.mock.calls.length]).toEqual(["locked", 0]); // nor is the journal replayed for it
  const leased = leasedView(other);
  expect(await refusal(true)).toMatch(`cannot tell what ${leased.device} is attached to, it may be a block view (EPERM: operation not permitted), swapoff ${leased.device}`);
  letGo(leased);
  const over = part(image, { offset, length, name: "x" });
  expect(await refusal(true)).toMatch(`cannot tell what ${over.device} is`);
  failing.mockRestore();
  expect(await refusal(true)).toMatch(`attached to ${over.device} by somebody else`);
  letGo(over);
  expect(await locked(true)).toBe("locked");
  letGo(foreign);
}, 60_000);

/** /proc/swaps with these devices on, and a swapoff(8) that `ran`. */
function fakeSwaps(on: () => string[], ran: string): void {
  const tool = path.join(folder, "swapoff");
  fs.writeFileSync(tool, `#!/bin/sh\necho "$1" >> ${ran}\necho "swapoff: $1: swapoff failed: Invalid argument" >&2\nexit 255\n`, { mode: 0o755 });
  jest.replaceProperty(process, "env", { ...process.env, PATH: `${folder}:${process.env["PATH"]}` });
  const read = fs.readFileSync;
  jest.spyOn(fs, "readFileSync").mockImplementation(((file: fs.PathOrFileDescriptor, ...rest: []) => {
    if (file !== "/proc/swaps") return read(file, ...rest);
    return ["Filename Type Size Used Priority", ...on().map((device) => `${device} partition 76 0 10`), ""].join("\n");
  }) as typeof fs.readFileSync);
}

test("swapOffView: what a swapon --block under way swaps on a moment later is swapped off as well", async () => {
  const ran = path.join(folder, "ran");
  const loop = leasedView();
  const calls = (): number => (fs.existsSync(ran) ? fs.readFileSync(ran, "utf8").split("\n").length - 1 : 0);
  let isOn = false;
  fakeSwaps(() => (isOn && calls() < 2 ? [loop.device] : []), ran);
  const off = swapOffView(loop);
  setTimeout(() => (isOn = true), 300);
  const letting = setInterval(() => {
    if (calls() === 2) letGo(loop);
  }, 20);
  try {
    expect([await off, calls()]).toEqual([true, 2]);
  } finally {
    clearInterval(letting);
  }
});

test("swapOffView: a device that somebody keeps open may be swapped on yet, which is told", async () => {
  const loop = leasedView();
  fakeSwaps(() => [], path.join(folder, "ran"));
  expect(await swapOffView(loop)).toBe(false);
}, 20_000);

test("create --on: a file that cannot be removed again stays, and the error says so and why", () => {
  const file = path.join(folder, "swap");
  fs.writeFileSync(file, "");
  const failing = jest.spyOn(fs, "rmSync").mockImplementation(() => {
    throw Object.assign(new Error("EPERM"), { code: "EPERM" });
  });
  const stays = `; ${file} stays, since it is in use as swap or by its block view: run swapfs swapoff ${file}, then rm ${file}`;
  expect(removedAfter(file, new UserError(10, "cannot swapon"))).toMatchObject({ exit: 10, message: `cannot swapon${stays}` });
  expect(removedAfter(file, new Interrupted())).toMatchObject({ name: "Interrupted", message: `interrupted${stays}` });
  failing.mockRestore();
  expect(removedAfter(file, new UserError(12, "cannot swapon"))).toMatchObject({ exit: 12, message: `cannot swapon (${file} was removed again)` });
  expect(fs.existsSync(file)).toBe(false);
});
