// A machine with systemd and the Debian package: installed, one file of configuration, booted, out of memory, watched, upgraded below
// its mount, shut down, and purged.

import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import path from "node:path";

import { buildPackage } from "#src/install/package";
import { withDevice, openReadOnly } from "#src/engine/sourcedevice";
import { loadState, loadSuperblock } from "#src/volume/replay";
import { checkoutOf } from "../install/support";
import { isMounted, pidOf, swappedOn } from "../support/mounted";
import { Cleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { must, projectDir, run, sh, until } from "../support/mounted-run";
import type { Disks } from "./support/disks";
import { scenario } from "./support/scenario";

const MiB = 2 ** 20;
const mnt = "/mnt/swap";
const file = `${mnt}/a`;
const unit = "mnt-swap-a.swap";
const grows = "swapfs-auto-mnt-swap.service";
const next = "9.9.9";
const conf = `[${mnt}]
source = /dev/vda
auto = max=512M,chunk=64M

[${file}]
size = 64M
priority = 10
`;
const waitMs = 180_000;
const packagesFolder = "/root/packages";

/** Two versions of the package, a node where Debian's package has it, and nothing of the checkout's that mount(8) would find. */
async function addToRoot(root: string): Promise<void> {
  const at = (name: string): string => path.join(root, name);
  const cleanup = new Cleanup();
  try {
    const dir = await scratchDir(cleanup);
    mkdirSync(at(packagesFolder), { recursive: true });
    for (const from of [projectDir, await checkoutOf(next, dir)]) cpSync(buildPackage(from, dir), at(path.join(packagesFolder, from === projectDir ? "one.deb" : "next.deb")));
  } finally {
    await cleanup.run();
  }
  rmSync(at("sbin/mount.swapfs"));
  rmSync(at("usr/bin/node"), { force: true });
  symlinkSync("/usr/local/bin/node", at("usr/bin/node"));
  const status = readFileSync(at("var/lib/dpkg/status"), "utf8");
  rmSync(at("var/lib/dpkg/status")); // a link into the tree
  writeFileSync(at("var/lib/dpkg/status"), `${status}
Package: nodejs
Status: install ok installed
Architecture: amd64
Maintainer: nobody
Version: ${process.versions.node}
Description: stands for Debian's, whose node is at /usr/local/bin
`);
}

async function withJournal(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const { stdout } = await run("journalctl", ["-b", "--no-pager", "-n", "80", "-o", "short-monotonic"]);
    throw new Error(`${(error as Error).message}\n${stdout}`);
  }
}

async function isActive(name: string): Promise<boolean> {
  return (await run("systemctl", ["is-active", name])).stdout.trim() === "active";
}

async function isOn(): Promise<boolean> {
  return (await isMounted(mnt)) && (await swappedOn(mnt)).includes(file);
}

/** Of what may be swapped on as a file or as a block view. */
function areas(): number {
  return readFileSync("/proc/swaps", "utf8").trim().split("\n").length - 1;
}

async function allIsOn(): Promise<void> {
  await until("swap is on", isOn, waitMs);
  await until("the service that lets swap grow runs", () => isActive(grows), waitMs);
  assert.equal((await must("systemctl", ["--failed", "--plain", "--no-legend"])).trim(), "");
}

/** Grows a few MiB at a time, as a program does that leaks, until there is more swap. */
async function growUntil(done: () => boolean): Promise<void> {
  const held: Buffer[] = [];
  for (let bytes = 0; !done(); bytes += 4 * MiB) {
    assert(bytes < 1.5 * totalmem(), `no more swap after ${bytes / MiB} MiB:\n${readFileSync("/proc/swaps", "utf8")}`);
    held.push(Buffer.alloc(4 * MiB, held.length % 251 + 1));
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  held.forEach((part, index) => assert(part.every((byte) => byte === index % 251 + 1), "a byte of what was swapped out is wrong"));
}

/** Names below the root that the package, or its work, may have left. */
function traces(): string[] {
  const below = (dir: string): string[] => readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(dir, entry.name);
    if (entry.name.includes("swapfs") && name !== "/etc/swapfs.conf") return [name];
    return entry.isDirectory() && !name.startsWith(projectDir) ? below(name) : [];
  });
  return ["/etc", "/run", "/usr", "/var", "/tmp"].flatMap(below).filter((name) => !name.startsWith("/run/log") && !name.startsWith("/var/log"));
}

function closedInOrder(disks: Disks, console: string): void {
  const failures = console.split("\n").filter((line) => /fail|timed out|stop job|could not|cannot|still/i.test(line));
  assert.deepEqual(failures, []);
  assert.match(console, /reboot: Power down/);
  assert(withDevice(openReadOnly(disks.fileOf(0)), (device) => loadState(device, loadSuperblock(device, true).geometry).clean), "the volume was not closed");
}

scenario("package", {
  kernels: ["6.12"],
  memoryMiB: 512,
  disks: [1024 * MiB],
  debian: true,
  addToRoot,
  steps: {
    "the package is installed": () => withJournal(async () => {
      await must("dpkg", ["-i", `${packagesFolder}/one.deb`], { timeoutMs: waitMs });
      assert.match(await must("swapfs", ["--version"]), /^\d+\.\d+\.\d+ /);
      assert(existsSync("/usr/sbin/mount.swapfs"));
    }),
    "one file of configuration: a volume, a swapfile, and swap that grows": () => withJournal(async () => {
      mkdirSync(mnt, { recursive: true });
      await must("swapfs", ["/dev/vda", mnt, "--format"]);
      await must("swapfs", ["umount", mnt]);
      writeFileSync("/etc/swapfs.conf", conf);
      await sh(`systemctl daemon-reload && systemctl start ${unit}`);
      assert(await isOn());
      await sh(`systemctl stop ${unit} && systemctl stop mnt-swap.mount`);
      assert(!(await isMounted(mnt)));
    }),
    "power-off": () => Promise.resolve(),
    "booted: swap is on": () => withJournal(allIsOn),
    "short of memory: there is more swap, and no byte is wrong": (guest) => withJournal(async () => {
      const before = areas();
      await growUntil(() => areas() > before);
      guest.note(readFileSync("/proc/swaps", "utf8").trim().replaceAll(/[\t ]+/g, " "));
      assert(await isActive(grows));
    }),
    "metrics": () => withJournal(async () => {
      const shown = await must("swapfs", ["metrics"]);
      const sizes = shown.match(/^swapfs_swap_size_bytes\{.*\} \d+$/gm) ?? [];
      assert(sizes.length === areas() && sizes.some((line) => line.includes(`file="${file}"`)), `the areas are not all there:\n${shown}`);
    }),
    "upgraded below its mount, and its processes killed": () => withJournal(async () => {
      const before = await pidOf(mnt, "keeper");
      await must("dpkg", ["-i", `${packagesFolder}/next.deb`], { timeoutMs: waitMs });
      assert.match(await must("swapfs", ["--version"]), new RegExp(`^${next.replaceAll(".", "\\.")} `));
      for (const role of ["data plane", "control plane"] as const) process.kill((await pidOf(mnt, role))!, "SIGKILL");
      await sh(`echo lives >${mnt}/b && grep -q lives ${mnt}/b`);
      assert.equal(await pidOf(mnt, "keeper"), before);
      assert.match(await must("swapfs", ["status", mnt]), /\/mnt\/swap\/a/);
      assert(await isOn());
    }),
    "power-off with swap on": () => Promise.resolve(),
    "booted with the next version, and purged without a trace": (guest) => withJournal(async () => {
      await allIsOn();
      const refused = await run("dpkg", ["--purge", "swapfs"], { timeoutMs: waitMs });
      assert.notEqual(refused.status, 0, "purged while a volume is mounted");
      assert(await isOn());
      await sh(`systemctl stop ${grows}`);
      await must("swapfs", ["umount", "--swapoff", mnt]);
      await must("dpkg", ["--purge", "swapfs"], { timeoutMs: waitMs });
      assert.deepEqual(traces(), []);
      assert.equal((await run("systemctl", ["cat", unit])).status, 1, "its units are there");
      await guest.nothingIsLeft();
    }),
  },
  poweredOff: { "power-off": closedInOrder, "power-off with swap on": closedInOrder },
});
