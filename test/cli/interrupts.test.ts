// Ctrl-C while another program is waited for: undone, and 130. The program is the system's own, begun a moment late.

import { spawn } from "node:child_process";
import { existsSync, promises as fs } from "node:fs";
import path from "node:path";

import { loopsOverFile } from "#src/sys/loopswaps";
import { isMounted, swappedOn } from "../support/mounted";
import { imageUnderTest } from "../support/mounted-image";
import { must, projectDir, run, sleep, until } from "../support/mounted-run";

const volume = imageUnderTest("256M");
const { at } = volume;

afterEach(async () => {
  for (const file of await swappedOn(volume.mountpoint)) await run("swapoff", [file]);
});

/** Runs the command in a session of its own and interrupts its process group when it waits for `program`. */
async function interrupted(program: string, args: readonly string[]): Promise<{ status: number | null; stderr: string }> {
  const folder = await fs.mkdtemp(path.join(volume.dir, "path-"));
  const begun = path.join(folder, "begun");
  const real = (await must("sh", ["-c", `command -v ${program}`])).trim();
  await fs.writeFile(path.join(folder, program), `#!/bin/sh\n: >${begun}\nsleep 0.5\nexec ${real} "$@"\n`, { mode: 0o755 });
  const child = spawn(process.execPath, [path.join(projectDir, "dist/cli/main.js"), ...args], {
    detached: true, stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, PATH: `${folder}:${process.env["PATH"]}` },
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  await until(`${program} has begun`, () => existsSync(begun));
  process.kill(-child.pid!, "SIGINT");
  const status = await ended;
  await sleep(1000); // whatever was left running would have ended by now
  return { status, stderr };
}

test("create --on: in swapon and in mkswap, nothing of the file is left", async () => {
  for (const program of ["swapon", "mkswap"]) {
    expect(await interrupted(program, ["create", at("made"), "--size", "16M", "--on", "--priority", "10"])).toMatchObject({ status: 130 });
    expect([await swappedOn(volume.mountpoint), existsSync(at("made"))]).toEqual([[], false]);
  }
});

test("swapon, itself and through a loop device: swapped off again, said while it waits", async () => {
  await must("sh", ["-c", `fallocate -l 16M ${at("a")} && chmod 600 ${at("a")} && mkswap -q ${at("a")}`]);
  for (const how of [[], ["--loop"]]) {
    const done = await interrupted("swapon", ["swapon", ...how, at("a"), "--priority", "10"]);
    expect([done.status, done.stderr]).toEqual([130, expect.stringMatching(/waiting for swapon of .*\n.*interrupted, everything was cleaned up\n/)]);
    expect([await swappedOn(volume.mountpoint), loopsOverFile(at("a"))]).toEqual([[], []]);
  }
});

test("swapoff: it stays swapped on, and says so", async () => {
  await must("sh", ["-c", `cp ${at("a")} ${at("b")} && rm ${at("a")} && swapon -p 10 ${at("b")}`]);
  const done = await interrupted("swapoff", ["swapoff", at("b")]);
  expect([done.status, done.stderr]).toEqual([130, expect.stringMatching(/interrupted: .*b stays swapped on\n/)]);
  expect(await swappedOn(volume.mountpoint)).toEqual([at("b")]);
});

test("umount ends what it has begun; mount is undone", async () => {
  expect((await interrupted("umount", ["umount", volume.mountpoint])).status).toBe(130);
  expect(await isMounted(volume.mountpoint)).toBe(false);
  await until("the volume's processes have ended", () => loopsOverFile(volume.image).length === 0);
  expect(await interrupted("wipefs", ["mount", volume.image, volume.mountpoint])).toMatchObject({ status: 130 });
  expect([await isMounted(volume.mountpoint), existsSync(volume.image), loopsOverFile(volume.image)]).toEqual([false, true, []]);
});
