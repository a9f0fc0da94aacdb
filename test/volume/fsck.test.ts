// fsck: every finding is made by a state that is wrong in one way, and a sound state has none.

import type { Change } from "#src/volume/changes";
import { checkState, type FindingKind } from "#src/volume/fsck";
import { apply, VolumeState } from "#src/volume/state";
import { geometryOf, newSuperblock } from "#src/volume/superblock";
import { attributes, dataStart, smallAreas, uuid } from "./small";

const geometry = geometryOf(newSuperblock("test", (dataStart + 100) * 4096, uuid, 0, smallAreas));
const at = (filePage: number, devicePage: number, count: number, state: "written" | "shared" = "written") => ({ filePage, devicePage, count, state });

/** /dir/a (inode 3, also /b), /dir/link */
const sound: readonly Change[] = [
  { kind: "put-inode", ino: 1, attributes: attributes(0o040755, { nlink: 3 }), parent: 1 },
  { kind: "put-inode", ino: 2, attributes: attributes(0o040755, { nlink: 2 }), parent: 1 },
  { kind: "put-inode", ino: 3, attributes: attributes(0o100600, { nlink: 2, size: 40_000 }) },
  { kind: "put-inode", ino: 4, attributes: attributes(0o120777), target: "a" },
  { kind: "put-entry", parent: 1, name: "dir", ino: 2, type: 4 },
  { kind: "put-entry", parent: 1, name: "b", ino: 3, type: 8 },
  { kind: "put-entry", parent: 2, name: "a", ino: 3, type: 8 },
  { kind: "put-entry", parent: 2, name: "link", ino: 4, type: 10 },
  { kind: "set-extents", ino: 3, filePage: 0, count: 10, extents: [at(0, dataStart, 10)] },
];

function findings(...more: Change[]): [string, FindingKind][] {
  const state = new VolumeState();
  for (const change of [...sound, ...more]) apply(state, change);
  return checkState(geometry, state).findings.map((finding) => [finding.severity, finding.kind]);
}

const file = (ino: number, nlink = 1): Change => ({ kind: "put-inode", ino, attributes: attributes(0o100600, { nlink }) });
const entry = (parent: number, name: string, ino: number, type = 8): Change => ({ kind: "put-entry", parent, name, ino, type });
const extents = (ino: number, ...list: ReturnType<typeof at>[]): Change => ({ kind: "set-extents", ino, filePage: 0, count: 100, extents: list });

test("checkState: nothing to find in a sound state", () => {
  expect(findings()).toEqual([]);
});

test.each<[string, Change[], [string, FindingKind][]]>([
  ["an entry to no inode", [entry(1, "c", 9)], [["error", "entry-to-missing-inode"]]],
  ["an entry of the wrong type", [file(5), entry(1, "c", 5, 4)], [["error", "entry-type"]]],
  ["a file with a link too many", [file(3, 3)], [["error", "link-count"]]],
  ["a directory with a link too few", [{ kind: "put-inode", ino: 1, attributes: attributes(0o040755, { nlink: 2 }) }], [["error", "link-count"]]],
  ["a directory that names another parent", [{ kind: "put-inode", ino: 2, attributes: attributes(0o040755, { nlink: 2 }), parent: 2 }], [["error", "directory-parent"]]],
  ["a directory with two names", [entry(2, "loop", 2, 4)], [["error", "directory-parent"], ["error", "link-count"]]],
  ["an inode that nothing names", [file(5)], [["error", "unreachable"]]],
  ["an orphan", [file(5, 0)], [["note", "orphan"]]],
  ["blocks of two files", [file(5), entry(1, "c", 5), extents(5, at(0, dataStart + 9, 2))], [["error", "extent-overlap"]]],
  ["blocks of two files, one of them says shared", [file(5), entry(1, "c", 5), extents(5, at(0, dataStart + 9, 2, "shared"))], [["error", "extent-overlap"]]],
  ["blocks twice in one file", [file(5), entry(1, "c", 5), extents(5, at(0, dataStart + 20, 2), at(7, dataStart + 21, 1))], [["error", "extent-overlap"]]],
  ["blocks in the metadata", [file(5), entry(1, "c", 5), extents(5, at(0, dataStart - 1, 1))], [["error", "extent-outside"]]],
  ["the superblock's block", [file(5), entry(1, "c", 5), extents(5, at(0, 1, 1))], [["error", "extent-outside"]]],
  ["blocks beyond the end", [file(5), entry(1, "c", 5), extents(5, at(0, dataStart + 99, 2))], [["error", "extent-outside"]]],
  ["blocks of a symlink", [extents(4, at(0, dataStart + 50, 1))], [["error", "inode"]]],
  ["a symlink without a target", [{ kind: "put-inode", ino: 5, attributes: attributes(0o120777) }, entry(1, "c", 5, 10)], [["error", "inode"]]],
])("checkState: %s", (_, changes, expected) => {
  expect(findings(...changes)).toEqual(expected);
});

test("checkState: shared blocks are fine when every user says so", () => {
  expect(findings(
    extents(3, at(0, dataStart, 10, "shared")), file(5), entry(1, "c", 5), extents(5, at(0, dataStart + 2, 3, "shared")),
  )).toEqual([]);
});

test("checkState: an inode beyond the next number, a wrong count of bytes, no root", () => {
  const state = new VolumeState();
  for (const change of sound) apply(state, change);
  state.nextIno = 4;
  state.checkpointBytes -= 8;
  expect(checkState(geometry, state).findings.map((finding) => finding.kind)).toEqual(["inode", "accounting"]);
  expect(checkState(geometry, new VolumeState()).findings.map((finding) => finding.kind)).toEqual(["root"]);
});

test("checkState: counts pages", () => {
  const state = new VolumeState();
  for (const change of sound) apply(state, change);
  expect(checkState(geometry, state)).toMatchObject({ inodes: 4, usedPages: 10, freePages: 76 });
});
