import { activate } from "#src/activation/activate";
import type { OpenHandle } from "#src/activation/handles";
import { FsError } from "#src/base/errors";
import { Refusals } from "#src/activation/refusals";
import { SharedHandleTable } from "#src/dataplane/handletable";
import { makeSession } from "#src/dataplane/session";

const swaponPid = 50;

function setUp(pages = 16) {
  const steps: string[] = [];
  const handles = new SharedHandleTable(makeSession());
  const inode = {
    ino: 5, mode: 0o100600, size: 16 * 4096, extents: [{ filePage: 0, devicePage: 9, count: pages, state: "written" as const }],
  };
  const parts = {
    volume: { inode: (ino: number) => (ino === 5 ? inode : undefined), flush: async () => void steps.push("flush"), notOwn: () => [] },
    handles,
    data: { installPinned: (ino: number) => void steps.push(`install ${ino} pinned ${handles.isPinned(ino)}`) },
    refusals: new Refusals(),
    exclusive: <T>(_ino: number, work: () => Promise<T>) => work(),
    settleSharing: async () => undefined,
  };
  const open = (fh: bigint, pid: number): OpenHandle => ({ fh, ino: 5, flags: 2, pid });
  handles.open(open(1n, swaponPid));
  return { parts, steps, open };
}

test("activate: flush, then pin, then install", async () => {
  const { parts, steps } = setUp();
  expect(await activate(parts, 5, swaponPid)).toMatchObject({ accepted: true, pages: 16 });
  expect(steps).toEqual(["flush", "install 5 pinned true"]);
});

test("activate: a refusal pins nothing and can be read afterwards", async () => {
  const { parts, steps } = setUp(10);
  expect(await activate(parts, 5, swaponPid)).toMatchObject({ accepted: false });
  expect(steps).toEqual(["flush"]);
  expect(parts.handles.pinned()).toEqual([]);
  expect(parts.refusals.textOf(5)).toContain("pages 10-15");
});

test("activate: what cannot be made durable is refused as not committed", async () => {
  const { parts } = setUp();
  const volume = { ...parts.volume, flush: async () => Promise.reject(new FsError("EIO", "cannot flush /dev/sdx: EIO")) };
  expect((await activate({ ...parts, volume }, 5, swaponPid))?.reasons).toEqual([{ kind: "not-committed", error: "cannot flush /dev/sdx: EIO" }]);
});

test("activate: waits a moment for a writer that has just exited", async () => {
  const { parts, open } = setUp();
  parts.handles.open(open(2n, 60));
  setTimeout(() => parts.handles.close(2n), 20);
  expect(await activate(parts, 5, swaponPid)).toMatchObject({ accepted: true });
});

test("activate: a writer that stays is named", async () => {
  const { parts, open } = setUp();
  parts.handles.open(open(2n, 60));
  const verdict = await activate(parts, 5, swaponPid);
  expect(verdict?.reasons).toEqual([{ kind: "open-for-writing", pids: [60] }]);
});

test("activate: a second swapon of the same file is no writer", async () => {
  const { parts, open } = setUp();
  parts.handles.open(open(2n, 60));
  const surroundings = { swaponDrains: false, image: () => undefined, inSwapon: async (pids: readonly number[]) => pids.filter((pid) => pid === 60), mappedBy: async () => [] };
  expect(await activate({ ...parts, surroundings }, 5, swaponPid)).toMatchObject({ accepted: true });
});

test("activate: who has it mapped is looked up once, before the refusal", async () => {
  const { parts, open } = setUp();
  parts.handles.open(open(2n, 60));
  let lookups = 0;
  const surroundings = { swaponDrains: false, image: () => undefined, inSwapon: async () => [], mappedBy: async () => ((lookups += 1), [60]) };
  expect((await activate({ ...parts, surroundings }, 5, swaponPid))?.reasons).toEqual([{ kind: "mapped-shared", pids: [60] }]);
  expect(lookups).toBe(1);
});

test("activate: the image is looked at again each time, and nothing is awaited between its verdict and the pin", async () => {
  const { parts, steps } = setUp();
  let whole = false;
  const image = () => {
    steps.push("image");
    queueMicrotask(() => steps.push("later"));
    const extents = Float64Array.from(whole ? [0, 0, 100 * 4096, 0] : []);
    return { host: { name: "ext4", copies: undefined, readOnly: false }, allow: { cow: false, unmapped: false }, extents };
  };
  const surroundings = { swaponDrains: false, image, inSwapon: async () => [], mappedBy: async () => [] };
  expect((await activate({ ...parts, surroundings }, 5, swaponPid))?.reasons).toMatchObject([{ kind: "hole", layer: "image" }]);
  whole = true;
  steps.length = 0;
  expect(await activate({ ...parts, surroundings }, 5, swaponPid)).toMatchObject({ accepted: true });
  expect(steps.slice(0, 3)).toEqual(["flush", "image", "install 5 pinned true"]);
});

test("activate: without an open handle nothing is pinned", async () => {
  const { parts, steps } = setUp();
  parts.handles.close(1n);
  expect(await activate(parts, 5, swaponPid)).toMatchObject({ accepted: true });
  expect(steps).toEqual(["flush"]);
});

test("activate: an inode that is gone has no verdict", async () => {
  expect(await activate(setUp().parts, 6, swaponPid)).toBeUndefined();
});
