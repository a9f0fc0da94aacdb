// The second layer: composed with the first piece by piece, compared with a walk page by page, and its steps counted.

import { eachPiece, joinExtents, walkImage, windowsOf } from "#src/activation/imagewalk";
import type { WalkedExtent } from "#src/activation/extentwalk";
import type { ImageFault } from "#src/activation/verdict";
import { fiemapFlags } from "#src/base/fiemap";

const page = 4096;
const { shared, unwritten, inline, tail, unaligned, delalloc, unknown, encoded, encrypted, last, merged } = fiemapFlags;
const e = (filePage: number, devicePage: number, count: number): WalkedExtent => ({ filePage, devicePage, count, state: "written" });
/** In pages: logical, count, flags; they lie one after the other on the host. */
const host = (...extents: [logical: number, count: number, flags?: number][]): Float64Array =>
  Float64Array.from(extents.flatMap(([logical, count, flags = 0]) => [logical * page, (1000 + logical) * page, count * page, flags]));
const faultsOf = (extents: WalkedExtent[], pages: number, image: Float64Array): Record<string, unknown> =>
  Object.fromEntries(walkImage(extents, pages, image).faults);

test("walkImage: an image that is backed and written has nothing against it", () => {
  expect(faultsOf([e(0, 10, 4), e(4, 30, 4)], 8, host([0, 20], [20, 20, last | merged]))).toEqual({});
});

test("walkImage: file pages, not image pages, and every fault of a page", () => {
  const image = host([10, 2], [12, 1, shared | unwritten], [14, 6]);
  expect(faultsOf([e(0, 30, 1), e(5, 10, 8)], 13, image)).toEqual({
    hole: [{ page: 0, count: 1 }, { page: 8, count: 1 }], shared: [{ page: 7, count: 1 }], unwritten: [{ page: 7, count: 1 }],
  });
});

test("walkImage: nothing behind the last whole page, and an image that was cut off ends in a hole", () => {
  expect(faultsOf([e(0, 10, 8)], 4, host([0, 14]))).toEqual({});
  expect(faultsOf([e(0, 10, 8)], 8, host([0, 14]))).toEqual({ hole: [{ page: 4, count: 4 }] });
  expect(faultsOf([e(0, 10, 8)], 8, host())).toEqual({ hole: [{ page: 0, count: 8 }] });
});

test.each<[string, number, ImageFault[]]>([
  ["inline sets not-aligned as well", inline | unaligned, ["inline"]], ["a packed tail is inline", tail | unaligned, ["inline"]],
  ["not-aligned alone", unaligned, ["not-aligned"]], ["delalloc sets unknown", delalloc | unknown, ["delalloc"]],
  ["unknown alone", unknown, ["delalloc"]], ["encoded", encoded, ["encoded"]], ["encrypted", encrypted | encoded, ["encoded"]],
  ["last and merged say nothing", last | merged, []],
])("walkImage: flags of FIEMAP: %s", (_name, flags, faults) => {
  expect(Object.keys(faultsOf([e(0, 3, 2)], 2, host([3, 2, flags])))).toEqual(faults);
});

test("walkImage: a page is bad when a part of it is, on a host with smaller blocks", () => {
  const half = Float64Array.from([10 * page, 0, page + 1024, 0]);
  expect(faultsOf([e(0, 10, 3)], 3, half)).toEqual({ hole: [{ page: 1, count: 2 }] });
});

function makeRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
}

test("eachPiece and walkImage agree with a walk page by page over random layers", () => {
  for (let seed = 1; seed <= 400; seed += 1) {
    const random = makeRandom(seed);
    const image: [number, number, number][] = [];
    for (let at = random(3); at < 60; at += random(4)) {
      const count = 1 + random(6);
      image.push([at, count, [0, shared, unwritten, encoded | shared][random(4)]!]);
      at += count;
    }
    const extents: WalkedExtent[] = [];
    for (let at = random(3); at < 40; at += random(3)) {
      const count = 1 + random(7);
      extents.push(e(at, 1 + random(60), count));
      at += count;
    }
    const pages = 30;
    const expected: Record<string, number[]> = {};
    for (let at = 0; at < pages; at += 1) {
      const extent = extents.find((one) => at >= one.filePage && at < one.filePage + one.count);
      if (!extent) continue;
      const device = extent.devicePage + at - extent.filePage;
      const below = image.find(([logical, count]) => device >= logical && device < logical + count);
      const kinds = below === undefined ? ["hole"] : [...(below[2] & shared ? ["shared"] : []), ...(below[2] & unwritten ? ["unwritten"] : []), ...(below[2] & encoded ? ["encoded"] : [])];
      for (const kind of kinds) (expected[kind] ??= []).push(at);
    }
    const found = Object.fromEntries([...walkImage(extents, pages, host(...image)).faults].map(([kind, ranges]) =>
      [kind, ranges.flatMap(({ page: from, count }) => Array.from({ length: count }, (_, i) => from + i))]));
    expect([seed, found]).toEqual([seed, expected]);
    let bytes = 0;
    eachPiece(extents, pages, host(...image), (piece) => {
      bytes += piece.length;
      if (piece.host >= 0) expect(piece.host - piece.image).toBe(1000 * page);
    });
    expect(bytes / page).toBe(extents.reduce((sum, one) => sum + Math.max(0, Math.min(one.count, pages - one.filePage)), 0));
  }
});

/** A file and an image of `count` extents each over 64 GiB; `scattered`: the file's lie on the device in any order. */
function fragmented(count: number, scattered: boolean): { extents: WalkedExtent[]; image: Float64Array } {
  const pages = (64 * 2 ** 30) / page / count;
  const order = Array.from({ length: count }, (_, i) => i);
  const random = makeRandom(count);
  if (scattered) for (let i = count - 1; i > 0; i -= 1) {
    const other = random(i + 1);
    [order[i], order[other]] = [order[other]!, order[i]!];
  }
  return {
    extents: order.map((at, i) => e(Math.floor(i * pages), 1 + Math.floor(at * pages), Math.floor(pages))),
    image: host(...order.map((_, i): [number, number, number] => [Math.floor(i * pages), Math.floor((i + 1) * pages) - Math.floor(i * pages), i === 7 ? shared : 0])),
  };
}

test.each([[false, 4], [true, 24]])("walkImage: steps grow as the extents do (scattered: %s), not as the pages", (scattered, perExtent) => {
  for (const count of [1000, 10_000, 100_000]) {
    const { extents, image } = fragmented(count, scattered);
    const walk = walkImage(extents, (64 * 2 ** 30) / page, image);
    expect(walk.steps).toBeLessThanOrEqual(perExtent * count);
    expect(walk.faults.get("shared")).toBeDefined();
  }
});

test("windowsOf: neighbours are asked about at once, in order, and nothing is left out", () => {
  expect(windowsOf([e(0, 5000, 10), e(10, 100, 10), e(20, 130, 10), e(40, 90, 5)], 45))
    .toEqual([{ offset: 90 * page, length: 50 * page }, { offset: 5000 * page, length: 10 * page }]);
  expect(windowsOf([e(0, 100, 10), e(10, 5000, 10)], 5)).toEqual([{ offset: 100 * page, length: 5 * page }]);
  expect(windowsOf([], 5)).toEqual([]);
});

test("windowsOf: a run inside of one that was seen before does not shorten it", () => {
  expect(windowsOf([e(0, 100, 50), e(50, 110, 5)], 55)).toEqual([{ offset: 100 * page, length: 50 * page }]);
});

test("joinExtents: what two windows both say counts once, and an overlap is cut", () => {
  expect([...joinExtents([host([0, 4], [4, 4, shared]), host([4, 4, shared], [8, 2])])]).toEqual([...host([0, 4], [4, 4, shared], [8, 2])]);
  expect([...joinExtents([host([0, 6]), host([4, 4])])]).toEqual([...host([0, 6], [6, 2])]);
});
