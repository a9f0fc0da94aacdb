// Run directories have the numbers of devices, and two mounts can have one after the other before the first has ended.

import { closeSync, promises as fs } from "node:fs";
import os from "node:os";
import path from "node:path";

import { lockSource } from "#src/cli/common/flock";
import { projectDir } from "../support/mounted-run";
import { freshRunDir, openRunDir, removeRunDir } from "#src/cli/mount/rundir";

let root: string;
let runDir: string;

beforeEach(async () => {
  root = await fs.mkdtemp(path.join(os.tmpdir(), "swapfs-run-"));
  runDir = path.join(root, "7:3");
  await fs.mkdir(runDir);
  await fs.writeFile(path.join(runDir, "log"), "");
});
afterEach(() => fs.rm(root, { recursive: true }));

/** As its keeper holds it. */
async function held(body: () => Promise<void>): Promise<void> {
  const keeper = (await lockSource(runDir, 0, "r"))!;
  await body().finally(() => closeSync(keeper));
}

test("freshRunDir: what nobody holds is replaced by an empty one", async () => {
  await freshRunDir(runDir);
  expect(await fs.readdir(runDir)).toEqual(["code"]);
  expect(await fs.readlink(path.join(runDir, "code"))).toBe(projectDir);
});

test("freshRunDir: the directory of a keeper that lives is kept", () => held(async () => {
  await expect(freshRunDir(runDir, 60)).rejects.toThrow(`cannot mount: ${runDir} belongs to a keeper that lives`);
  expect(await removeRunDir(runDir)).toBe(false);
  expect(await fs.readdir(runDir)).toEqual(["log"]);
}));

test("freshRunDir waits for a keeper that is ending, also when it takes the directory away", async () => {
  const keeper = (await lockSource(runDir, 0, "r"))!;
  setTimeout(() => void fs.rm(runDir, { recursive: true }).then(() => closeSync(keeper)), 100);
  await freshRunDir(runDir, 5000);
  expect(await fs.readdir(runDir)).toEqual(["code"]);
});

test("removeRunDir: one of that name which is not the one that was meant is kept", async () => {
  const meant = openRunDir(runDir)!;
  await fs.rm(runDir, { recursive: true });
  await fs.mkdir(runDir);
  expect(await removeRunDir(runDir, 0, meant)).toBe(true);
  expect(await fs.readdir(runDir)).toEqual([]);
  closeSync(meant);
  const now = openRunDir(runDir)!;
  expect(await removeRunDir(runDir, 0, now)).toBe(true);
  closeSync(now);
  expect(openRunDir(runDir)).toBeUndefined();
});
