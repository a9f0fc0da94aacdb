import { walkExtents } from "#src/activation/extentwalk";
import type { WalkedExtent } from "#src/activation/extentwalk";
import { judge, type JudgeOptions } from "#src/activation/judge";
import type { OpenHandle } from "#src/activation/handles";

const page = 4096;
const e = (filePage: number, devicePage: number, count: number, state: WalkedExtent["state"] = "written"): WalkedExtent =>
  ({ filePage, devicePage, count, state });
const file = (extents: WalkedExtent[], size = 16 * page, mode = 0o100600) => ({ ino: 5, mode, size, extents });
const handle = (flags: number, pid: number, fh = 1n): OpenHandle => ({ fh, ino: 5, flags, pid });
const whole = [e(0, 100, 16)];
const swapon = { requester: 50 };

function header(lastPage: number): Buffer {
  const made = Buffer.alloc(page);
  made.writeUInt32LE(1, 1024);
  made.writeUInt32LE(lastPage, 1028);
  made.write("SWAPSPACE2", page - 10, "latin1");
  return made;
}

test("judge: an allocated file that only swapon has open is accepted", () => {
  expect(judge(file(whole), [handle(2, 50)], swapon)).toEqual({ accepted: true, ino: 5, pages: 16, extents: 1, reasons: [] });
});

test("judge: unwritten extents are fine, and count by where they lie", () => {
  const verdict = judge(file([e(0, 100, 4), e(4, 104, 4, "unwritten"), e(8, 300, 8)]), [], swapon);
  expect(verdict).toMatchObject({ accepted: true, extents: 2 });
});

test("judge: an odd length uses its whole pages", () => {
  expect(judge(file([e(0, 100, 16)], 16 * page - 1), [], swapon)).toMatchObject({ accepted: true, pages: 15 });
});

test("judge: every reason at once", () => {
  const verdict = judge(
    file([e(1, 100, 2), e(3, 102, 2, "shared"), e(5, 110, 1, "shared"), e(9, 200, 40)]),
    [handle(2, 50), handle(1, 51, 2n), handle(0, 52, 3n)],
    { requester: 50, header: header(16) },
  );
  expect(verdict.accepted).toBe(false);
  expect(verdict.reasons).toEqual([
    { kind: "hole", layer: "file", ranges: [{ page: 0, count: 1 }, { page: 6, count: 3 }] },
    { kind: "shared", layer: "file", ranges: [{ page: 3, count: 3 }] },
    { kind: "open-for-writing", pids: [51] },
    { kind: "header-larger-than-file", headerPages: 17, filePages: 16 },
  ]);
});

test("judge: one handle of swapon's thread is excused, none of pid 0, and that of a swap that is on", () => {
  const reasons = (handles: OpenHandle[], requester: number) => judge(file(whole), handles, { requester }).reasons.map(({ kind }) => kind);
  expect(reasons([handle(2, 50), handle(1, 50, 2n)], 50)).toEqual(["open-for-writing"]);
  expect([reasons([handle(2, 50)], 50), reasons([handle(2, 0)], 0)]).toEqual([[], ["open-for-writing"]]);
  expect(reasons([{ ...handle(2, 9), swapon: true }, handle(2, 50, 2n)], 50)).toEqual([]);
});

test.each([[1, false], [2, true], [3, true], [10, true]])("judge: %d pages", (pages, accepted) => {
  expect(judge(file([e(0, 100, pages)], pages * page), [], swapon).accepted).toBe(accepted);
});

test.each([[9, ["too-small", "no-header"]], [10, ["no-header"]]])("judge: %d pages for a header to come", (pages, kinds) => {
  const verdict = judge(file([e(0, 100, pages)], pages * page), [], { requester: 0, header: Buffer.alloc(page) });
  expect(verdict.reasons.map(({ kind }) => kind)).toEqual(kinds);
});

test("judge: a directory is not a file, and nothing else is said about it", () => {
  expect(judge(file([], 0, 0o040755), [], swapon).reasons).toEqual([{ kind: "not-a-file", type: "directory" }]);
});

test("judge: the header, when page 0 is given", () => {
  const reasons = (bytes: Buffer) => judge(file(whole), [], { requester: 0, header: bytes }).reasons.map(({ kind }) => kind);
  expect(reasons(Buffer.alloc(page))).toEqual(["no-header"]);
  expect(reasons(header(15))).toEqual([]);
  expect(reasons(header(16))).toEqual(["header-larger-than-file"]);
});

test.each([8192, 16384, 65536])("judge: a header of a machine with pages of %d bytes is told as that", (pageBytes) => {
  const head = Buffer.alloc(65536);
  head.write("SWAPSPACE2", pageBytes - 10, "latin1");
  const reasons = (bytes: Buffer) => judge(file(whole), [], { requester: 0, header: bytes }).reasons;
  expect(reasons(head)).toEqual([{ kind: "header-page-size", pageBytes }]);
  expect(reasons(head.subarray(0, pageBytes - 1))).toEqual([{ kind: "no-header" }]);
  expect(reasons(Buffer.concat([header(15), head.subarray(page)]))).toEqual([]);
});

test("judge: a header that says less than the file has limits the area, one that says more refuses it", () => {
  expect(judge(file(whole), [], { requester: 0, header: header(11) })).toMatchObject({ accepted: true, pages: 12 });
  expect(judge(file(whole), [], { requester: 0, header: header(20) })).toMatchObject({ accepted: false, pages: 16 });
});

test("judge: headers that read_swap_header refuses", () => {
  const kinds = (change: (page: Buffer) => void): string[] => {
    const made = header(15);
    change(made);
    return judge(file(whole), [], { requester: 0, header: made }).reasons.map(({ kind }) => kind);
  };
  expect(kinds((made) => made.writeUInt32LE(2, 1024))).toEqual(["header-version"]);
  expect(kinds((made) => made.writeUInt32LE(0, 1028))).toEqual(["header-only"]);
  expect(kinds((made) => made.writeUInt32LE(3, 1032))).toEqual(["bad-pages"]);
});

test("judge: who is in swapon(2) writes nothing; who has it mapped is named as such, and once", () => {
  const handles = [handle(2, 50), handle(2, 51, 2n), handle(2, 52, 3n), handle(2, 53, 4n)];
  const verdict = judge(file(whole), handles, { requester: 50, inSwapon: [51], mappedBy: [50, 52, 60] });
  expect(verdict.reasons).toEqual([{ kind: "open-for-writing", pids: [53] }, { kind: "mapped-shared", pids: [52, 60] }]);
  expect(judge(file(whole), handles.slice(0, 2), { requester: 50, inSwapon: [51] }).accepted).toBe(true);
});

test("judge: what the requester may write itself is its own affair while it is in swapon(2), but not to a file that is held", () => {
  const handles = [handle(2, 50), handle(2, 50, 2n)];
  const reasons = (options: Partial<JudgeOptions>) => judge(file(whole), handles, { requester: 50, mappedBy: [50], ...options }).reasons.map(({ kind }) => kind);
  expect(reasons({ inSwapon: [50], ownWrites: true })).toEqual([]);
  expect(reasons({ ownWrites: true })).toEqual(["open-for-writing"]);
  expect(reasons({ inSwapon: [50] })).toEqual(["open-for-writing"]);
  expect(judge(file(whole), [handle(2, 0), handle(2, 0, 2n)], { requester: 0, inSwapon: [0], ownWrites: true }).reasons).toMatchObject([{ kind: "open-for-writing", pids: [0] }]);
});

test("judge: of who is in swapon(2) one handle writes nothing, another one may", () => {
  const handles = [handle(2, 51), handle(2, 51, 2n)];
  const refused = [{ kind: "open-for-writing", pids: [51] }];
  expect(judge(file(whole), handles.slice(0, 1), { requester: -1, inSwapon: [51] }).reasons).toEqual([]);
  expect(judge(file(whole), handles, { requester: -1, inSwapon: [51] }).reasons).toEqual(refused);
  expect(judge(file(whole), [...handles, handle(2, 50, 3n)], { requester: 50, inSwapon: [50, 51] }).reasons).toEqual(refused);
});

test("judge: both layers, all reasons", () => {
  const image = {
    host: { name: "btrfs", copies: "the image has no NOCOW flag (lsattr shows C)", readOnly: true }, allow: { cow: false, unmapped: false },
    extents: Float64Array.from([100 * page, 0, 4 * page, 0x2000, 104 * page, 0, 4 * page, 0x800]),
  };
  expect(judge(file([e(0, 100, 12), e(12, 200, 2, "shared")]), [], { requester: 0, image }).reasons.map((reason) => [reason.kind, "layer" in reason ? reason.layer : ""])).toEqual([
    ["hole", "file"], ["shared", "file"], ["read-only-host", ""], ["cow-host", ""], ["hole", "image"], ["shared", "image"], ["unwritten", "image"],
  ]);
});

test("walkExtents: agrees with a page-by-page walk over random maps", () => {
  let seed = 7;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  for (let round = 0; round < 300; round += 1) {
    const extents: WalkedExtent[] = [];
    for (let at = random(3); at < 30; at += random(3)) {
      const count = 1 + random(4);
      extents.push(e(at, 100 + random(3) + at, count, random(3) === 0 ? "shared" : "written"));
      at += count;
    }
    const pages = 20;
    const byPage = (wanted: (extent: WalkedExtent | undefined) => boolean): number[] =>
      Array.from({ length: pages }, (_, p) => p).filter((p) => wanted(extents.find((x) => p >= x.filePage && p < x.filePage + x.count)));
    const flat = (ranges: readonly { page: number; count: number }[]): number[] =>
      ranges.flatMap(({ page: from, count }) => Array.from({ length: count }, (_, i) => from + i));
    const walk = walkExtents(extents, pages);
    expect(flat(walk.holes)).toEqual(byPage((x) => x === undefined));
    expect(flat(walk.shared)).toEqual(byPage((x) => x?.state === "shared"));
  }
});
