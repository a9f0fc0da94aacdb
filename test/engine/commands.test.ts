// The control socket's commands and the environment, on a volume in memory.

import { pins } from "#src/activation/handles";
import type { Verdict } from "#src/activation/verdict";
import { SharedHandleTable } from "#src/dataplane/handletable";
import { makeSession } from "#src/dataplane/session";
import { BlockViews } from "#src/engine/native/blockviews";
import { makeCommands } from "#src/engine/native/commands";
import { controlPlaneArgv, readAllowances, readEnvironment } from "#src/engine/native/environment";
import { pathsOf } from "#src/engine/native/status";
import type { ExtentMap } from "#src/volume/extents";
import type { FsckReport } from "#src/volume/fsck";
import { opcodes } from "#src/wire/opcodes";
import { FakeLoops } from "../support/fake-loops";
import { OpsFixture } from "../support/ops-fixture";

const page = 4096;

async function setUp() {
  const ops = new OpsFixture();
  const folder = await ops.ok(opcodes.mkdir, 1, { mode: 0o755 }, { name: "folder" });
  const made = await ops.ok(opcodes.create, Number(folder.nodeid), { mode: 0o600, flags: 2 }, { name: Buffer.from("füll").toString("latin1") });
  const ino = Number(made.entry.nodeid);
  await ops.ok(opcodes.fallocate, ino, { length: BigInt(16 * page) });
  const handles = new SharedHandleTable(makeSession());
  const lookAtImage = () => [];
  const views = new BlockViews(ops.fs, new FakeLoops());
  const commands = makeCommands({ fs: ops.fs, handles, mountpoint: "/nowhere/mnt", lookAtImage, pendingRequests: () => 3, views });
  const asker = { tell: () => undefined, signal: new AbortController().signal };
  const ask = async (name: string, question: object = {}): Promise<unknown> => commands[name]!({ command: name, ...question }, asker);
  return { ops, ino, handles, ask, views, folder: Number(folder.nodeid) };
}

function header(pages: number): string {
  const made = Buffer.alloc(page);
  made.writeUInt32LE(1, 1024);
  made.writeUInt32LE(pages - 1, 1028);
  made.write("SWAPSPACE2", page - 10, "latin1");
  return made.toString("base64");
}

test("check: by inode, with the header that the asker read", async () => {
  const { ask, ino } = await setUp();
  expect(await ask("check", { ino, header: header(16) })).toMatchObject({ accepted: true, pages: 16 });
  expect(await ask("check", { ino, header: header(17) })).toMatchObject({ reasons: [{ kind: "header-larger-than-file" }] });
});

test("check: page 0 of an unwritten file is zeros, so it has no header", async () => {
  const { ask, ino } = await setUp();
  expect((await ask("check", { ino }) as Verdict).reasons).toEqual([{ kind: "no-header" }]);
});

test("check: every open handle for writing counts, whoever asks", async () => {
  const { ask, ino, handles } = await setUp();
  handles.open({ fh: 4n, ino, flags: 0x8001, pid: 77 });
  expect(await ask("check", { ino, header: header(16) })).toMatchObject({ reasons: [{ kind: "open-for-writing", pids: [77] }] });
});

test("swaps: the files that are swapped on, by inode and with a name where there is one", async () => {
  const { ask, ino, handles } = await setUp();
  handles.open({ fh: 4n, ino, flags: 0x8002, pid: 77 });
  expect(await ask("swaps")).toEqual([]);
  handles.setSwapon(4n);
  handles.open({ fh: 5n, ino: 99, flags: 0x8002, pid: 77 });
  handles.setSwapon(5n);
  expect(await ask("swaps")).toEqual([{ ino, path: "/folder/füll" }, { ino: 99, path: undefined }]);
});

test("deactivate, activate, prepare: who closed the file a moment ago, or swapped off, is not in the way; who has it open is", async () => {
  const { ops, ask, ino } = await setUp();
  const { handles } = ops.fs;
  const opened = (fh: bigint): void => handles.open({ fh, ino, flags: 0x8002, pid: 77 });
  const closedLater = (fh: bigint): NodeJS.Timeout => setTimeout(() => handles.close(fh), 300);
  handles.setPins(ino, pins.activated);
  opened(4n);
  await expect(ask("deactivate", { ino })).rejects.toThrow("was opened for writing by pid 77, end that");
  closedLater(4n);
  expect(await ask("deactivate", { ino })).toEqual({ mode: "swap_rw" });
  await ops.ok(opcodes.fallocate, ino, { offset: BigInt(page), length: BigInt(page), mode: 3 }); // a hole, KEEP_SIZE
  for (const [fh, command] of [[5n, "prepare"], [6n, "activate"]] as const) {
    opened(fh);
    handles.setSwapon(fh);
    await expect(ask(command, { ino })).rejects.toThrow("run swapoff first");
    closedLater(fh);
    await ask(command, { ino });
  }
});

test("check: a folder, and what is not there", async () => {
  const { ask, folder } = await setUp();
  expect(await ask("check", { ino: folder })).toMatchObject({ accepted: false, reasons: [{ kind: "not-a-file", type: "directory" }] });
  await expect(ask("check", { ino: 99999 })).rejects.toThrow("no such file: inode 99999");
  await expect(ask("check")).rejects.toThrow("no such file");
});

test("map: the extents, and nothing below them on a device of its own", async () => {
  const { ask, ino, ops } = await setUp();
  const [extent] = ops.volume.inode(ino)!.extents;
  expect(await ask("map", { ino })).toEqual({ ino, size: 16 * page, extents: [extent] });
  expect(extent).toMatchObject({ filePage: 0, count: 16, state: "unwritten" });
});

test("status: files with their paths, those in use first", async () => {
  const { ops, ask, ino, handles } = await setUp();
  const other = await ops.ok(opcodes.create, 1, { mode: 0o600, flags: 2 }, { name: "other" });
  handles.open({ fh: 4n, ino: Number(other.entry.nodeid), flags: 0, pid: 1 });
  handles.setSwapon(4n);
  ops.fs.refusals.add({ accepted: false, ino, pages: 16, extents: 1, reasons: [{ kind: "no-header" }] }, 5, 1000);
  const status = await ask("status") as { files: unknown[] };
  expect(status).toMatchObject({
    fileCount: 2, orphans: 0, openHandles: 1, pinned: [Number(other.entry.nodeid)], pendingRequests: 3, warnings: [],
    refusals: [{ ino, path: "/folder/füll", time: 1000, pid: 5 }],
    volume: { inodes: 4, droppedPages: 0 },
  });
  expect(status.files).toEqual([
    { ino, path: "/folder/füll", size: 16 * page, pages: 16, extents: 1, open: 0, pinned: false, mode: null },
    { ino: Number(other.entry.nodeid), path: "/other", size: 0, pages: 0, extents: 0, open: 1, pinned: true, mode: null },
  ]);
  expect(JSON.parse(JSON.stringify(status))).toEqual(status);
});

test("status: answers though the end of a block view cannot be noted, since the device does not answer", async () => {
  const { ask, views } = await setUp();
  jest.spyOn(views, "look").mockReturnValue(new Promise(() => undefined));
  expect(await ask("status")).toMatchObject({ views: [] });
});

test("pathsOf: a hard link has one of its names, an orphan none", async () => {
  const { ops, ino } = await setUp();
  await ops.ok(opcodes.link, 1, { oldnodeid: BigInt(ino) }, { name: "again" });
  expect(["/again", "/folder/füll"]).toContain(pathsOf(ops.volume).get(ino));
});

test("fsck: nothing on a sound volume; a clone's pages that were lost in memory show in every count of them", async () => {
  const { ops, ino, ask } = await setUp();
  const other = Number((await ops.ok(opcodes.create, 1, { mode: 0o600, flags: 2 }, { name: "other" })).entry.nodeid);
  const { devicePage } = ops.volume.inode(ino)!.extents.find(0)!;
  const shared = [{ filePage: 0, devicePage, count: 16, state: "shared" as const }];
  for (const user of [ino, other]) ops.volume.commit([{ kind: "set-extents", ino: user, filePage: 0, count: 16, extents: shared }]);
  expect(await ask("fsck")).toMatchObject({ findings: [], usedPages: 16 });
  (ops.volume.inode(other)!.extents as ExtentMap).replace(12, 4, []);
  const { findings } = await ask("fsck") as FsckReport;
  expect(findings.filter(({ severity }) => severity === "error")).toEqual([expect.objectContaining({
    kind: "reference-count", message: `blocks ${devicePage + 12} to ${devicePage + 15} are used by 1 extents, the count says 2`,
  })]);
});

const environment = {
  SWAPFS_FUSE_FD: "5", SWAPFS_CONTROL_FD: "6", SWAPFS_SESSION_FD: "7", SWAPFS_DEVICE: "/dev/loop3",
  SWAPFS_MOUNTPOINT: "/mnt/swap", SWAPFS_RUN_DIR: "/run/swapfs/7:3",
};

test("controlPlaneArgv: what the person takes on himself reaches every control plane that the keeper starts", () => {
  const options = (allow: { cow: boolean; unmapped: boolean }): string[] => {
    const argv = controlPlaneArgv(allow);
    return argv.slice(argv.findIndex((word) => word.endsWith("main.js")) + 1);
  };
  expect(options({ cow: false, unmapped: false })).toEqual([]);
  for (const cow of [false, true]) for (const unmapped of [false, true]) expect(readAllowances(options({ cow, unmapped }))).toEqual({ cow, unmapped });
});

test("readEnvironment: what the keeper sets", () => {
  expect(readEnvironment({ ...environment, SWAPFS_LOCK_FD: "8", SWAPFS_READY_FD: "9" }))
    .toEqual({ fuseFd: 5, controlFd: 6, sessionFd: 7, lockFd: 8, readyFd: 9, device: "/dev/loop3", mountpoint: "/mnt/swap", runDir: "/run/swapfs/7:3", ablated: new Set() });
  expect(readEnvironment(environment)).toMatchObject({ lockFd: -1, readyFd: -1 });
});

test.each([["SWAPFS_FUSE_FD", undefined], ["SWAPFS_CONTROL_FD", "six"], ["SWAPFS_DEVICE", ""], ["SWAPFS_ABLATE", "lock,looks"]])(
  "readEnvironment: %s = %s is named in the error", (name, value) => {
    expect(() => readEnvironment({ ...environment, [name]: value })).toThrow(name);
  },
);
