// The gate looks itself at whose the blocks of a file are, whatever let the volume be opened with such a map.

import { assess } from "#src/activation/assess";
import type { Reason } from "#src/activation/verdict";
import { SharedHandleTable } from "#src/dataplane/handletable";
import { makeSession } from "#src/dataplane/session";
import { perform } from "#src/volume/blockdevice";
import type { Change } from "#src/volume/changes";
import { checkpointSteps } from "#src/volume/checkpoint";
import { apply, VolumeState } from "#src/volume/state";
import { Volume } from "#src/volume/volume";
import { attributes, dataStart, smallDevice, withKeptBack } from "../volume/small";

const dataPages = 192;
const at = (filePage: number, devicePage: number, count: number) => ({ filePage, devicePage, count, state: "written" as const });

/** What the gate says of inode 2, which has 16 pages, when a checkpoint on the device maps it like this, and inode 3 as well. */
async function reasons(extents: ReturnType<typeof at>[], other: ReturnType<typeof at>[] = []): Promise<readonly Reason[] | undefined> {
  const device = smallDevice({}, dataPages);
  const { geometry } = Volume.open(device, { readOnly: true });
  const state = new VolumeState();
  const file = (ino: number, list: ReturnType<typeof at>[]): Change[] => [
    { kind: "put-inode", ino, attributes: attributes(0o100600, { size: 16 * 4096 }) },
    { kind: "put-entry", parent: 1, name: `${ino}`, ino, type: 8 },
    { kind: "set-extents", ino, filePage: 0, count: 16, extents: list },
  ];
  const root: Change = { kind: "put-inode", ino: 1, attributes: attributes(0o040755, { nlink: 2 }), parent: 1 };
  for (const change of [root, ...file(2, extents), ...file(3, other)]) apply(state, change);
  perform(device, checkpointSteps(geometry, state, 0, { half: 0, sector: 0, sequence: 9, previous: 0 }, 0));
  const volume = Volume.open(device, { readOnly: true });
  return (await assess({ volume, handles: new SharedHandleTable(makeSession()) }, 2, { requester: 50 }))?.reasons;
}

const notOwn = (...ranges: [page: number, count: number][]) => [{ kind: "not-its-own", ranges: ranges.map(([page, count]) => ({ page, count })) }];

test("assess: a map that is the file's own is accepted", async () => {
  expect(await reasons([at(0, dataStart, 12), at(12, dataStart + dataPages - 4, 4)], [at(0, dataStart + 12, 16)])).toEqual([]);
});

test("assess: a map into the metadata, or beyond the volume's end, is refused", async () => {
  expect(await reasons([at(0, dataStart, 15), at(15, 1, 1)])).toEqual(notOwn([15, 1]));
  expect(await reasons([at(0, dataStart - 1, 16)])).toEqual(notOwn([0, 16]));
  expect(await reasons([at(0, dataStart, 12), at(12, dataStart + withKeptBack(dataPages) - 3, 4)])).toEqual(notOwn([12, 4]));
});

test("assess: blocks that another file has as well, or the file itself twice, are refused", async () => {
  expect(await reasons([at(0, dataStart, 8), at(8, dataStart + 20, 8)], [at(0, dataStart + 27, 4)])).toEqual(notOwn([8, 8]));
  expect(await reasons([at(0, dataStart, 8), at(8, dataStart + 7, 8)])).toEqual(notOwn([0, 8], [8, 8]));
});
