// ./mount.sh --install and --uninstall: what is put where, what is taken away, and an upgrade while a volume is mounted.

import { promises as fs } from "node:fs";
import path from "node:path";

import { installed } from "#src/install/files";
import { install } from "#src/install/install";
import { readVersion } from "#src/sys/version";
import { isMounted, killAndAwait, mountSwapfs, pidOf } from "../support/mounted";
import { withCleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { must, projectDir, run, sh, type Done } from "../support/mounted-run";
import { checkoutOf, filesBelow } from "./support";

const main = path.join(projectDir, "dist/install/main.js");
const prefix = "/opt/swapfs";
const codeOf = { "data plane": "native/build/swapfs-dataplane", "control plane": "dist/engine/native/main.js" };
const type = `swapfs-installed-${process.pid}`;

function installer(...words: string[]): Promise<Done> {
  return run(process.execPath, [main, ...words]);
}

test("installed, again, and away: a command that needs no checkout, and not a file too many", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const done = await installer("--install", "--prefix", prefix, "--destdir", dir);
    expect(done).toEqual({ status: 0, stderr: "", stdout: expect.stringMatching(/^swapfs .* is installed: (\d+) of \1 files written, the command is /) });
    const command = path.join(dir, prefix, "bin/swapfs");
    const { version, commit } = readVersion();
    expect(await must(process.execPath, [command, "--version"], { cwd: "/" })).toBe(`${version} (${commit})\n`);
    const code = path.dirname(path.dirname(path.dirname(await fs.realpath(command))));
    const { dependencies, devDependencies } = require(`${projectDir}/package.json`) as Record<string, Record<string, string>>;
    const packages = await fs.readdir(path.join(code, "node_modules"));
    expect(packages).toEqual(expect.arrayContaining([...Object.keys(dependencies!), "ms"]));
    expect(packages.filter((name) => name in devDependencies! || ["fuse-native", "nan", "zrender"].includes(name))).toEqual([]);
    expect((await fs.readFile(path.join(code, "dist/cli/main.js"), "utf8")).split("\n")[0]).toBe(`#!${process.execPath}`);
    expect((await fs.stat(path.join(code, "native/build/swapfs-keeper"))).mode & 0o777).toBe(0o755);
    const there = await filesBelow(dir);
    expect(there).toEqual(expect.arrayContaining([
      "opt/swapfs/share/man/man8/swapfs.8.gz", "opt/swapfs/share/bash-completion/completions/swapfs", "opt/swapfs/share/doc/swapfs/copyright",
    ]));
    expect(there.filter((name) => name.endsWith("sbin/mount.swapfs"))).toHaveLength(1);
    expect((await installer("--install", "--prefix", prefix, "--destdir", dir)).stdout).toContain("was installed already");
    expect(await filesBelow(dir)).toEqual(there);
    await fs.appendFile(path.join(dir, prefix, "share/doc/swapfs/README.md"), "a note of my own\n");
    const away = await installer("--uninstall", "--prefix", prefix, "--destdir", dir);
    expect(away).toMatchObject({ status: 0, stdout: expect.stringContaining("README.md is left: it was changed") });
    expect(await filesBelow(dir)).toEqual(["opt/swapfs/share/doc/swapfs/README.md"]);
    await fs.rm(path.join(dir, "opt"), { recursive: true });
    expect(await fs.readdir(dir)).toEqual([]);
    expect(await installer("--uninstall", "--prefix", prefix, "--destdir", dir)).toMatchObject({ status: 12, stderr: expect.stringContaining("nothing of swapfs is installed there") });
  }));

test("what somebody else has put in its place is not touched, and nothing is installed", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    await sh(`mkdir -p "$D${prefix}/bin" && echo mine >"$D${prefix}/bin/swapfs"`, { env: { D: dir } });
    const done = await installer("--install", "--prefix", prefix, "--destdir", dir);
    expect(done).toMatchObject({ status: 12, stderr: expect.stringMatching(/^swapfs: cannot install .*bin\/swapfs: there already/) });
    expect(await filesBelow(dir)).toEqual(["opt/swapfs/bin/swapfs"]);
  }));

test.each([[["--prefix", "usr"]], [["--perfix", "/usr"]], [["everything"]]])("%j is a usage error", async (words) => {
  expect(await installer("--install", ...words)).toMatchObject({ status: 2, stdout: "", stderr: expect.stringMatching(/^swapfs: cannot install: .*write \.\/mount\.sh --install/) });
});

test("an installation has every package that its code asks for; the engine fuse-native only with its option", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const image = path.join(dir, "disk.img");
    const mnt = path.join(dir, "mnt");
    await fs.mkdir(mnt);
    const command = path.join(dir, prefix, "bin/swapfs");
    const swapfs = (...words: string[]): Promise<Done> => run(process.execPath, [command, ...words], { cwd: "/", env: { DEBUG: "swapfs:*" } });
    await installer("--install", "--prefix", prefix, "--destdir", dir);
    const drawn = await swapfs("bench", "--from", path.join(projectDir, "docs/bench.json"), "--report", path.join(dir, "page.html"), "--svg", path.join(dir, "picture.svg"));
    expect({ status: [0, 70].includes(drawn.status), stderr: drawn.stderr }).toEqual({ status: true, stderr: "" });
    expect(await swapfs("metrics")).toMatchObject({ status: 0, stderr: "" });
    const engine = ["mount", image, mnt, "--size", "64M", "--engine", "fuse-native"];
    expect(await swapfs(...engine)).toMatchObject({ status: 12, stderr: expect.stringContaining("the package fuse-native is not installed") });
    expect(await installer("--install", "--prefix", prefix, "--destdir", dir, "--with-fuse-native")).toMatchObject({ status: 0 });
    cleanup.add(mnt, async () => (await isMounted(mnt)) && must("umount", [mnt]));
    expect(await swapfs(...engine)).toMatchObject({ status: 0 });
    expect(await swapfs("umount", mnt)).toMatchObject({ status: 0 });
  }));

test("an upgrade while a volume is mounted: its planes are started again from their own version, which goes when it is unmounted", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const mnt = path.join(dir, "mnt");
    const place = { prefix, destdir: dir, runRoot: "/run/swapfs" };
    const files = (from: string) => installed({ from, prefix, node: process.execPath, withFuseNative: false });
    const [one, two, three] = await Promise.all(["1.0.0", "2.0.0", "3.0.0"].map((version) => checkoutOf(version, dir)));
    const command = path.join(dir, prefix, "bin/swapfs");
    const swapfs = (...words: string[]): Promise<string> => must(process.execPath, [command, ...words]);
    install(files(one!), place);
    const file = path.join(mnt, "a");
    await mountSwapfs(cleanup, path.join(dir, "disk.img"), mnt, { args: ["--size", "64M"], command });
    await swapfs("create", file, "--size", "16M", "--on", "--priority", "10");
    const [lib, moved] = ["lib", "moved"].map((name) => path.join(dir, prefix, name)) as [string, string];
    await fs.rename(lib, moved);
    await fs.symlink("moved", lib);
    expect(await swapfs("map", file)).toContain("resume"); // the same code, under another name
    await fs.unlink(lib);
    await fs.rename(moved, lib);
    const old = path.dirname(path.dirname(path.dirname(await fs.realpath(command))));

    expect(install(files(two!), place)).toMatchObject({ kept: [old], left: [] });
    expect(await swapfs("--version")).toMatch(/^2\.0\.0 /);
    for (const role of ["data plane", "control plane"] as const) {
      await killAndAwait(mnt, role);
      const words = (await fs.readFile(`/proc/${await pidOf(mnt, role)}/cmdline`, "utf8")).split("\0");
      expect(await fs.realpath(words.find((word) => word.includes("/code/"))!.replace(/^@/, "/"))).toBe(path.join(old, codeOf[role]));
    }
    await fs.writeFile(path.join(mnt, "b"), "written by the old planes");
    const map = path.join(old, "dist/cli/file/map.js");
    const original = await fs.readFile(map);
    await fs.writeFile(map, 'exports.define = (command) => command.argument("<file>").action((file) => console.log("the old command", file));');
    expect(await swapfs("map", file)).toBe(`the old command ${file}\n`);
    await fs.writeFile(map, original);
    const refused = await installer("--uninstall", "--prefix", prefix, "--destdir", dir);
    expect(refused).toMatchObject({ status: 12, stderr: expect.stringContaining(`${mnt} is served from it, run swapoff and umount first`) });
    await swapfs("umount", "--swapoff", mnt);

    expect(install(files(three!), place)).toMatchObject({ kept: [], left: [] });
    expect(await fs.readdir(path.join(dir, prefix, "lib/swapfs"))).toEqual([expect.stringMatching(/^3\.0\.0-/), "manifest.json"]);
    // mount(8) starts the helper without a PATH. Not as swapfs, which may be installed here.
    const helper = (await filesBelow(dir)).find((name) => name.endsWith("sbin/mount.swapfs"))!;
    await fs.symlink(path.join(dir, helper), `/sbin/mount.${type}`);
    cleanup.add(type, () => fs.unlink(`/sbin/mount.${type}`));
    await must("mount", ["-t", type, path.join(dir, "disk.img"), mnt]);
    expect(await fs.readFile(path.join(mnt, "b"), "utf8")).toBe("written by the old planes");
    await swapfs("umount", mnt);
    expect(await installer("--uninstall", "--prefix", prefix, "--destdir", dir)).toMatchObject({ status: 0 });
  }));
