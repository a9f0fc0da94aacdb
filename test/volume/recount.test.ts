// Counts of a running volume, each wrong in one way.

import { apply, VolumeState } from "#src/volume/state";
import { recount } from "#src/volume/recount";
import { Space } from "#src/volume/space";
import { geometryOf, newSuperblock } from "#src/volume/superblock";
import { attributes, dataStart, smallAreas, uuid } from "./small";

const geometry = geometryOf(newSuperblock("test", (dataStart + 100) * 4096, uuid, 0, smallAreas));

/** Two files of ten pages that share the first four, and a third that shares two of these. */
function setUp(): { state: VolumeState; live: Space } {
  const state = new VolumeState();
  for (const [ino, count] of [[3, 10], [4, 4], [5, 2]] as const) {
    apply(state, { kind: "put-inode", ino, attributes: attributes(0o100600) });
    apply(state, { kind: "set-extents", ino, filePage: 0, count, extents: [{ filePage: 0, devicePage: dataStart, count, state: "shared" }] });
  }
  return { state, live: new Space(geometry, state) };
}

const found = ({ state, live }: ReturnType<typeof setUp>): string[] => recount(geometry, state, live).map(({ kind, message }) => `${kind}: ${message}`);

test("recount: what no extent uses is accounted for, whatever becomes of it", () => {
  const volume = setUp();
  const { live } = volume;
  const runs = live.reserve(20);
  expect(found(volume)).toEqual([]);
  live.release([{ page: runs[0]!.page, count: 5 }]);
  live.flushBegins();
  live.release([{ page: runs[0]!.page + 5, count: 5 }]);
  expect(found(volume)).toEqual([]);
  live.flushEnded();
  live.withhold(dataStart + 50);
  expect(found(volume)).toEqual([]);
});

test("recount: a user too many, and one too few", () => {
  const volume = setUp();
  volume.live.references.add(dataStart + 1, 1);
  volume.live.references.drop(dataStart + 3, 1);
  volume.live.references.add(dataStart + 8, 2);
  expect(found(volume)).toEqual([
    `reference-count: blocks ${dataStart + 1} to ${dataStart + 1} are used by 3 extents, the count says 4`,
    `reference-count: blocks ${dataStart + 3} to ${dataStart + 3} are used by 2 extents, the count says 1`,
    `reference-count: blocks ${dataStart + 8} to ${dataStart + 9} are used by 1 extents, the count says 2`,
  ]);
});

test("recount: blocks that are used and free, and blocks that are neither", () => {
  const both = setUp();
  both.live.allocator.add(dataStart + 9, 1);
  expect(found(both)).toEqual([
    `free-and-used: inode 3 uses blocks ${dataStart} to ${dataStart + 9}, not all of which are taken`,
    "space-count: 90 of 100 blocks are used by no extent, 91 are accounted for",
  ]);
  const neither = setUp();
  neither.live.allocator.take(3);
  expect(found(neither)).toEqual(["space-count: 90 of 100 blocks are used by no extent, 87 are accounted for"]);
});
