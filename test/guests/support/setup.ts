// `./mount.sh --setup --with-guests`: fetches the guests' kernels from Debian and makes what they boot from. Done once for each.

import { execFileSync, spawnSync, type ExecFileSyncOptions } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";

import { debianDir, debianPackages } from "./debian";
import { initrd } from "./initrd";
import { Kernel, guestsDir, kernelReleases, packagesDir, packagesOf, type KernelRelease } from "./kernels";
import { vmlinux } from "./vmlinux";

/** With the libraries that the machine may lack; what else they need, a machine that can run the tests has. */
const packages = [
  "nbd-client", "nbd-server", "libnl-genl-3-200", "libnl-3-200",
  "nfs-common", "nfs-kernel-server", "libkeyutils1", "libnsl2", "libtirpc-common", "libtirpc3", "libwrap0", "swapspace",
];
const asRoot = ["-o", "APT::Sandbox::User=root"];

/** Nothing to mend: guests cannot be had on this machine, or not now. mount.sh ends with status 3 then. */
class Unavailable extends Error {}

try {
  if (process.arch !== "x64") throw new Unavailable(`guests run Debian's kernels for amd64 on the machine's own programs, and these are for ${process.arch}`);
  mkdirSync(guestsDir, { recursive: true });
  writeFileSync(path.join(guestsDir, "../.gitignore"), "*\n");
  for (const release of kernelReleases) setUp(release);
  setUpFolder(packagesDir, packages, download);
  setUpFolder(debianDir, debianPackages, downloadWithDependencies);
} catch (error) {
  process.stderr.write(`swapfs set-up: cannot set up the guests: ${(error as Error).message}\n`);
  process.exitCode = error instanceof Unavailable ? 3 : 2;
}

function setUp(release: KernelRelease): void {
  const kernel = new Kernel(release);
  if (existsSync(kernel.stamp)) return;
  rmSync(kernel.dir, { recursive: true, force: true });
  // Made beside its place and renamed, so that a set-up that was stopped leaves nothing that looks whole.
  const made = new Kernel(release, `${kernel.dir}.new`);
  rmSync(made.dir, { recursive: true, force: true });
  mkdirSync(made.dir, { recursive: true });
  const name = fetched(release, made.dir);
  unpack(made);
  // The init finds the modules where they will be.
  writeFileSync(made.initrd, initrd(made, kernel.modules));
  writeFileSync(made.stamp, `${name}\n`);
  renameSync(made.dir, kernel.dir);
}

/** Unpacks what `fetch` leaves in the folder. A list that has changed is fetched anew. */
function setUpFolder(dir: string, names: readonly string[], fetch: (names: readonly string[], dir: string) => void): void {
  const stamp = `${dir}.ready`;
  const list = `${names.join(" ")}\n`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === list) return;
  for (const old of [stamp, dir]) rmSync(old, { recursive: true, force: true });
  mkdirSync(dir);
  withLists(() => fetch(names, dir));
  const archives = readdirSync(dir).filter((name) => name.endsWith(".deb"));
  // As on a machine that runs: the folders of the root are links, which some packages do not know.
  for (const name of ["bin", "lib", "lib64", "sbin"]) {
    mkdirSync(path.join(dir, "usr", name), { recursive: true });
    symlinkSync(`usr/${name}`, path.join(dir, name));
  }
  const status: string[] = [];
  for (const archive of archives) {
    run("sh", ["-euc", 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink', "sh", archive], { cwd: dir });
    status.push(run("dpkg-deb", ["--field", archive], { cwd: dir }).replace("\n", "\nStatus: install ok installed\n"));
    rmSync(path.join(dir, archive));
  }
  // As dpkg would have left it: other packages depend on these.
  mkdirSync(path.join(dir, "var/lib/dpkg/info"), { recursive: true });
  mkdirSync(path.join(dir, "var/lib/dpkg/updates"), { recursive: true });
  writeFileSync(path.join(dir, "var/lib/dpkg/status"), status.map((entry) => `${entry.trimEnd()}\n`).join("\n"));
  writeFileSync(stamp, list);
}

/** Downloads the kernel's newest package that there is (apt also knows names of what is only installed); its file is the folder's only one. */
function fetched(release: KernelRelease, dir: string): string {
  return withLists(() => {
    let failure: unknown = new Error(`no package linux-image-${release}.*-amd64 in apt's lists`);
    for (const name of packagesOf(release, run("apt-cache", ["pkgnames", `linux-image-${release}`]).split("\n")).slice(0, 3)) {
      try {
        download([name], dir);
        return name;
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  });
}

/** With apt's lists as they are; if that fails, with new ones: old ones name packages that are gone, a new machine may have none. */
function withLists<T>(work: () => T): T {
  try {
    return work();
  } catch {
    // It also fails when a source that is not Debian's does, and then brings the rest; `work` says what is missing.
    spawnSync("apt-get", ["update", "-qq"], { stdio: "ignore" });
    try {
      return work();
    } catch (error) {
      throw new Unavailable((error as Error).message);
    }
  }
}

function download(names: readonly string[], dir: string): void {
  process.stderr.write(`swapfs set-up: downloading ${names.join(", ")} for the guests\n`);
  run("apt-get", ["download", "-qq", ...asRoot, ...names], { cwd: dir });
}

/** As if nothing were installed; apt's own state is not touched. */
function downloadWithDependencies(names: readonly string[], dir: string): void {
  process.stderr.write(`swapfs set-up: downloading ${names.join(", ")} and what they need for the guests\n`);
  const state = path.join(dir, "state");
  mkdirSync(path.join(state, "partial"), { recursive: true });
  writeFileSync(path.join(state, "status"), "");
  run("apt-get", ["install", "-qq", "-y", "--download-only", "--no-install-recommends", ...asRoot,
    "-o", `Dir::State::status=${state}/status`, "-o", `Dir::Cache::archives=${state}`, ...names]);
  for (const archive of readdirSync(state).filter((name) => name.endsWith(".deb"))) renameSync(path.join(state, archive), path.join(dir, archive));
  rmSync(state, { recursive: true });
}

function unpack({ dir, image, modules }: Kernel): void {
  const archive = readdirSync(dir).find((name) => name.endsWith(".deb"))!;
  run("dpkg-deb", ["-x", path.join(dir, archive), dir]);
  rmSync(path.join(dir, archive));
  const boot = path.join(dir, "boot");
  const vmlinuz = readdirSync(boot).find((name) => name.startsWith("vmlinuz-"))!;
  writeFileSync(image, vmlinux(readFileSync(path.join(boot, vmlinuz))));
  // Debian's package leaves modules.dep to its installation. busybox's depmod makes files that modprobe cannot read.
  run("depmod", ["-b", dir, readdirSync(modules)[0]!]);
}

function run(program: string, args: readonly string[], options: ExecFileSyncOptions = {}): string {
  return execFileSync(program, args, { ...options, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }) as string;
}
