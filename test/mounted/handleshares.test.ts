// One user, or several, opens as much as there is; root swaps on and off all the same. Directories take no handles at all.

import { spawn, type ChildProcess } from "node:child_process";
import { promises as fs } from "node:fs";

import { rootReserve, userShare } from "#src/dataplane/handletable";
import { handleSlots } from "#src/dataplane/session";
import { statusOf } from "../support/mounted";
import { imageUnderTest } from "../support/mounted-image";
import { must, run, sh, until } from "../support/mounted-run";

const volume = imageUnderTest("96M");
const { cleanup, at } = volume;

/** Opens `path` until that fails or it has `most`, says how often and why, and holds them until its input ends. */
const opener = `
  const fs = require("node:fs");
  let count = 0, code = "ok";
  try {
    for (; count < Number(process.argv[2]); count += 1) fs.openSync(process.argv[1], "r");
  } catch (error) {
    code = error.code;
  }
  console.log(count + " " + code);
  process.stdin.resume();
`;

async function openAs(uid: number, path: string, most: number): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn("prlimit", [
    "--nofile=10000", "setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", process.execPath, "-e", opener, path, String(most),
  ], { stdio: ["pipe", "pipe", "inherit"] });
  cleanup.add(`the files of uid ${uid}`, () => ended(child));
  const said = await new Promise<string>((resolve) => child.stdout!.once("data", (text: Buffer) => resolve(text.toString().trim())));
  return { child, said };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const over = new Promise((resolve) => child.once("exit", resolve));
  child.stdin!.end();
  await over;
}

async function swapsOnAndOff(): Promise<void> {
  const file = at("swap");
  await must("swapon", ["-p", "10", file]);
  try {
    expect(await fs.readFile("/proc/swaps", "utf8")).toContain(file);
  } finally {
    await must("swapoff", [file]);
  }
}

test("a user fills a share, users together leave the reserve, and root swaps on and off", async () => {
  await sh(`fallocate -l 16M "$F"; chmod 600 "$F"; mkswap -q "$F"`, { env: { F: at("swap") } });
  await fs.writeFile(at("open"), "x", { mode: 0o644 });
  await fs.chmod(volume.mountpoint, 0o755);
  const one = await openAs(1000, at("open"), userShare + 1);
  expect(one.said).toBe(`${userShare} ENFILE`);
  await swapsOnAndOff();
  const others = [];
  for (const uid of [1001, 1002, 1003]) others.push(await openAs(uid, at("open"), userShare + 1));
  const opened = [one, ...others].map(({ said }) => Number(said.split(" ")[0]));
  expect(opened.reduce((a, b) => a + b)).toBe(handleSlots - rootReserve);
  await swapsOnAndOff();
  expect((await run("cat", [at("open")], { uid: 1004 })).status).not.toBe(0);
  for (const { child } of [one, ...others]) await ended(child);
  expect((await run("cat", [at("open")], { uid: 1004 })).stdout).toBe("x");
});

test("directories take no handle, however often they are opened", async () => {
  await until("all is closed", async () => (await statusOf(volume.mountpoint)).openHandles === 0);
  const held = await Promise.all([1, 2, 3, 4].map(() => openAs(1000, volume.mountpoint, 9000)));
  expect(held.map(({ said }) => said)).toEqual(held.map(() => "9000 ok"));
  expect((await statusOf(volume.mountpoint)).openHandles).toBe(0);
  await swapsOnAndOff();
  for (const { child } of held) await ended(child);
});

test("a removed directory that is open: no entries, attributes of a directory without a name; listings follow every change", async () => {
  await fs.mkdir(at("d"));
  const names: string[][] = [];
  for (const name of ["one", "two"]) {
    await fs.writeFile(at(`d/${name}`), "");
    names.push((await fs.readdir(at("d"))).sort(), (await fs.readdir(at("d"))).sort());
  }
  await fs.rename(at("d/one"), at("d/three"));
  names.push((await fs.readdir(at("d"))).sort());
  expect(names).toEqual([["one"], ["one"], ["one", "two"], ["one", "two"], ["three", "two"]]);
  const handle = await fs.open(at("d"), "r");
  try {
    await sh(`rm -r "$D"`, { env: { D: at("d") } });
    const { nlink, mode } = await handle.stat();
    expect([nlink, mode & 0o170000]).toEqual([0, 0o040000]);
    await handle.sync();
    expect(await fs.readdir(`/proc/self/fd/${handle.fd}`)).toEqual([]);
  } finally {
    await handle.close();
  }
});
