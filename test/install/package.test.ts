// npm run package: the Debian package, unpacked and used where there is no checkout, upgraded below mounts, and purged.

import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import path from "node:path";

import { installed } from "#src/install/files";
import { buildPackage } from "#src/install/package";
import { ifAny } from "#src/sys/kernelfiles";
import { readVersion } from "#src/sys/version";
import { isMounted } from "../support/mounted";
import { Cleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { must, projectDir, run, sh, type Done } from "../support/mounted-run";
import { inNamespaceOfItsOwn } from "../support/namespace";
import { checkoutOf, filesBelow } from "./support";

const cleanup = new Cleanup();
let dir: string;
let root: string;
let deb: string;
let next: string;

beforeAll(async () => {
  dir = await scratchDir(cleanup);
  root = path.join(dir, "root");
  await sh('mkdir -p "$R/var/lib/dpkg/info" "$R/var/lib/dpkg/updates"; touch "$R/var/lib/dpkg/status"', { env: { R: root } });
  deb = buildPackage(projectDir, dir);
  next = buildPackage(await checkoutOf("9.9.9", dir), dir);
});
afterAll(() => cleanup.run());

/** In a root of its own, whose scripts run outside of it (DPKG_ROOT): nothing else is installed there. */
function dpkg(...words: string[]): Promise<Done> {
  return run("dpkg", [`--root=${root}`, "--force-script-chrootless", "--force-depends", ...words], { env: { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` } });
}

test("the package holds what --install puts into place, and depends on a node that its modules fit", async () => {
  const listed = (await must("sh", ["-c", 'dpkg-deb --fsys-tarfile "$0" | tar -t', deb])).trim().split("\n");
  const there = listed.filter((name) => !name.endsWith("/")).map((name) => name.slice(1)).sort();
  const wanted = installed({ from: projectDir, prefix: "/usr", node: "/usr/bin/node", withFuseNative: false });
  expect(there).toEqual(wanted.map((one) => one.path).sort());
  const node = Number.parseInt(process.versions.node, 10);
  expect(await must("dpkg-deb", ["--field", deb, "Depends"])).toMatch(new RegExp(`^nodejs \\(>= ${node}\\), nodejs \\(<< ${node + 1}~\\), libc6 `));
  expect(await must("dpkg-deb", ["--field", deb, "Version"])).toContain(readVersion().version);
});

test("unpacked it runs without checkout, compiler and libfuse2: version, doctor, and swap on in five lines", async () => {
  await must("dpkg-deb", ["-x", deb, path.join(dir, "unpacked")]);
  const mnt = path.join(dir, "mnt");
  cleanup.add(mnt, async () => {
    if (await isMounted(mnt)) await sh('swapoff "$M/a" || true; umount "$M"', { env: { M: mnt } });
  });
  // In a mount namespace of its own, where all of these are hidden.
  const script = `
    cp "$NODE" "$DIR/node"
    swapfs() { "$DIR/node" "$DIR/unpacked/usr/bin/swapfs" "$@"; }
    for hidden in "$PROJECT" /usr/lib/gcc /usr/include; do [ ! -d "$hidden" ] || mount -t tmpfs none "$hidden"; done
    for hidden in /usr/bin/*g++* /usr/bin/*gcc* /usr/bin/make /usr/lib/*/libfuse.so.2*; do [ ! -f "$hidden" ] || mount --bind /dev/null "$hidden"; done
    cd /
    swapfs --version
    swapfs doctor
    mkdir -p "$DIR/source" "$DIR/mnt"
    swapfs "$DIR/source" "$DIR/mnt" --size 64M
    fallocate -l 16M "$DIR/mnt/a" && chmod 600 "$DIR/mnt/a"
    mkswap "$DIR/mnt/a" && swapon -p 10 "$DIR/mnt/a"
    swapfs status "$DIR/mnt"
    swapoff "$DIR/mnt/a"
    swapfs umount "$DIR/mnt"`;
  const done = await inNamespaceOfItsOwn(dir, script, { env: { NODE: process.execPath, DIR: dir, PROJECT: projectDir } });
  expect(done).toMatchObject({ status: 0, stdout: expect.stringMatching(/Ready to mount/) });
  expect(done.stdout).toContain(`${readVersion().version} (${readVersion().commit})`);
});

test("installed, upgraded below a mount, not removed below one, purged without a trace", async () => {
  expect(await dpkg("-i", deb)).toMatchObject({ status: 0 });
  const lib = path.join(root, "usr/lib/swapfs");
  const [folder] = await fs.readdir(lib);
  const runDir = path.join(root, "run/swapfs/7:3");
  await fs.mkdir(runDir, { recursive: true });
  await fs.symlink(`/usr/lib/swapfs/${folder}`, path.join(runDir, "code"));
  const stale = path.join(root, "run/swapfs/7:1"); // of a keeper that was killed
  await fs.mkdir(stale);
  await fs.symlink("/usr/lib/swapfs/gone", path.join(stale, "code"));
  const keeper = spawn("flock", [runDir, "sleep", "1000"], { detached: true });
  cleanup.add("who holds the lock of a keeper", () => ifAny(() => process.kill(-keeper.pid!)));
  const before = await filesBelow(path.join(lib, folder!));

  // The version before could not do it: dpkg asks the next one. A name that is taken is no obstacle.
  await fs.symlink("/nowhere", path.join(runDir, "code.new"));
  const failing = path.join(root, "var/lib/dpkg/info/swapfs.prerm");
  await fs.writeFile(failing, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  expect(await dpkg("-i", next)).toMatchObject({ status: 0 });
  expect(await fs.readlink(path.join(runDir, "code"))).toBe(`/usr/lib/swapfs/kept/${folder}`);
  expect(await fs.readdir(runDir)).toEqual(["code"]);
  expect(await filesBelow(path.join(lib, "kept", folder!))).toEqual(before);
  expect((await fs.readdir(lib)).sort()).toEqual([expect.stringMatching(/^9\.9\.9-/), "kept"]);
  const main = await fs.readlink(path.join(root, "usr/bin/swapfs"));
  expect(main).toMatch(/^\.\.\/lib\/swapfs\/9\.9\.9-/);
  expect(await dpkg("-i", next)).toMatchObject({ status: 0 });
  expect(await fs.readlink(path.join(runDir, "code"))).toBe(`/usr/lib/swapfs/kept/${folder}`);

  expect(await dpkg("--remove", "swapfs")).toMatchObject({ status: 1, stderr: expect.stringMatching(/run\/swapfs\/7:3 is served from it, run swapoff and umount first/) });
  expect((await fs.readlink(path.join(root, "usr/bin/swapfs")))).toBe(main);
  process.kill(-keeper.pid!);
  expect(await dpkg("--purge", "swapfs")).toMatchObject({ status: 0 });
  expect((await filesBelow(root)).filter((name) => !/^(var\/lib\/dpkg|run\/swapfs)\//.test(name))).toEqual([]);
  expect((await fs.readdir(root)).sort()).toEqual(["run", "var"]);

  await fs.rm(path.join(root, "run/swapfs"), { recursive: true });
  await fs.mkdir(path.join(root, "run/swapfs")); // as the last umount leaves it
  expect(await dpkg("-i", next)).toMatchObject({ status: 0 });
  expect(await dpkg("--purge", "swapfs")).toMatchObject({ status: 0 });
  expect(await fs.readdir(path.join(root, "run"))).toEqual([]);
});
