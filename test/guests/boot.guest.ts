// A machine with systemd: boots, units, sessions, shutdowns.

import assert from "node:assert/strict";
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from "node:fs";
import path from "node:path";

import { openReadOnly, withDevice } from "#src/engine/sourcedevice";
import { loadState, loadSuperblock } from "#src/volume/replay";
import { isMounted, isRunning, pidOf, swappedOn } from "../support/mounted";
import { must, projectDir, run, sh, until } from "../support/mounted-run";
import type { Disks } from "./support/disks";
import { partitionTable } from "./support/partitions";
import { scenario } from "./support/scenario";

const MiB = 2 ** 20;
const mnt = "/mnt/swap";
const file = `${mnt}/a`;
const volume = { sector: 2048, sectors: (200 * MiB) / 512 };
const diskNumber = 0x1234abcd;
const device = "/dev/disk/by-partuuid/1234abcd-01";
/** As in docs/cli.md; and an image on a filesystem of its own. */
const fstab = `${device}  /mnt/swap  swapfs  nofail         0 0
/mnt/swap/a                        none       swap    nofail,pri=10  0 0
/dev/vdb                           /srv       ext4    nofail         0 0
/srv/swap                          /mnt/image swapfs  nofail         0 0
`;
const waitMs = 120_000;

async function isOn(): Promise<boolean> {
  return (await isMounted(mnt)) && (await swappedOn(mnt)).includes(file);
}

async function stateOf(unit: string): Promise<string> {
  return (await run("systemctl", ["is-active", unit])).stdout.trim();
}

/** What systemd says of its units when a step fails is lost with the guest otherwise. */
async function withJournal<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { stdout } = await run("journalctl", ["-b", "--no-pager", "-n", "60", "-o", "short-monotonic"]);
    throw new Error(`${(error as Error).message}\n${stdout}`);
  }
}

/** All three are in a scope of system.slice. */
async function keptInSystemSlice(): Promise<void> {
  for (const role of ["keeper", "data plane", "control plane"] as const) {
    const group = readFileSync(`/proc/${await pidOf(mnt, role)}/cgroup`, "utf8");
    assert.match(group, /^0::\/system\.slice\/swapfs-\d+:\d+-\d+\.scope$/m);
  }
}

/** The end of a boot: nothing failed, and the volume was closed in order. */
function wellEnded(disks: Disks, console: string): void {
  const failures = console.split("\n").filter((line) => /fail|timed out|stop job|could not|cannot|still/i.test(line));
  assert.deepEqual(failures, []);
  cleanlyEnded(disks, console);
}

function cleanlyEnded(disks: Disks, console: string): void {
  assert.match(console, /reboot: Power down/);
  const image = path.join(disks.dir, "volume");
  const from = openSync(disks.fileOf(0), "r");
  const to = openSync(image, "w");
  const bytes = Buffer.alloc(volume.sectors * 512);
  readSync(from, bytes, 0, bytes.length, volume.sector * 512);
  writeSync(to, bytes);
  closeSync(from);
  closeSync(to);
  const clean = withDevice(openReadOnly(image), (device) => loadState(device, loadSuperblock(device, true).geometry).clean);
  assert(clean, "the volume was not closed");
}

scenario("boot", {
  kernels: ["6.12"],
  memoryMiB: 768,
  disks: [256 * MiB, 256 * MiB],
  debian: true,
  steps: {
    "a disk is set up: partition, volume, swapfile, fstab": (guest) => withJournal(async () => {
      const disk = openSync("/dev/vda", "r+");
      writeSync(disk, partitionTable([volume], diskNumber));
      fsyncSync(disk);
      closeSync(disk);
      await until("udev has seen the partition", () => existsSync(device), waitMs);
      mkdirSync(mnt, { recursive: true });
      await guest.must("mount", device, mnt, "--format");
      await guest.must("create", file, "--size", "48M");
      await guest.must("umount", mnt);
      await sh("mke2fs -q -t ext4 /dev/vdb && mkdir -p /srv /mnt/image && mount /dev/vdb /srv && mkdir /srv/swap && umount /srv");
      writeFileSync("/etc/fstab", fstab);
      await sh("systemctl daemon-reload && systemctl start mnt-swap-a.swap");
      assert(await isOn());
      await keptInSystemSlice();
    }),
    "the units stop and start in their order": (guest) => withJournal(async () => {
      await must("systemctl", ["restart", "mnt-swap-a.swap"]);
      assert(await isOn());
      await must("systemctl", ["restart", "mnt-swap.mount"]);
      assert.equal(await stateOf("mnt-swap.mount"), "active");
      await must("systemctl", ["start", "mnt-swap-a.swap"]);
      assert(await isOn());
      await must("systemctl", ["stop", "mnt-swap.mount"]);
      assert.deepEqual([await stateOf("mnt-swap.mount"), await stateOf("mnt-swap-a.swap")], ["inactive", "inactive"]);
      await guest.nothingIsLeft();
      await must("systemctl", ["start", "mnt-swap-a.swap"]);
      assert(await isOn());
    }),
    "power-off with swap on": async () => {
      assert(await isOn());
    },
    "booted: the volume is mounted and swap is on": () => withJournal(async () => {
      await until("swap is on", isOn, waitMs);
      await until("the image is mounted", () => isMounted("/mnt/image"), waitMs);
      await keptInSystemSlice();
      await must("swapoff", ["-a"]);
      assert.equal(await isOn(), false);
      await must("swapon", ["-a"]);
      assert(await isOn());
      assert.equal((await must("systemctl", ["--failed", "--plain", "--no-legend"])).trim(), "");
    }),
    "a session that mounted and swapped on ends, with KillUserProcesses=yes: all of it but that is killed": () => withJournal(async () => {
      await must("systemctl", ["stop", "mnt-swap.mount"]);
      await must("systemd-run", ["--quiet", "--wait", "--property=PAMName=login", "--property=User=root", "bash", "-euc", `
        cat /proc/self/cgroup >/run/session
        setsid sleep 10000 & echo $! >/run/sleeper
        ${projectDir}/dist/cli/main.js ${device} ${mnt} && swapon -p 10 ${file}`]);
      assert.match(readFileSync("/run/session", "utf8"), /^0::\/user\.slice\/user-0\.slice\/session-/m);
      await until("the session's sleep is killed", () => !isRunning(Number(readFileSync("/run/sleeper", "utf8"))), waitMs);
      assert(await isOn());
      await keptInSystemSlice();
      await sh(`echo lives >${mnt}/b && grep -q lives ${mnt}/b`);
    }),
    // Linux 6.12 does not tell servers of fuseblk of a sync, as 6.18 does (FUSE_SYNCFS): there it hung when they were in user.slice.
    "user.slice is frozen, and sync ends": () => withJournal(async () => {
      await must("systemd-run", ["--quiet", "--slice=user.slice", "--unit=frozen", "sleep", "10000"]);
      const slice = "/sys/fs/cgroup/user.slice";
      writeFileSync(`${slice}/cgroup.freeze`, "1");
      await until("user.slice is frozen", () => readFileSync(`${slice}/cgroup.events`, "utf8").includes("frozen 1"), waitMs);
      await sh(`echo frozen >${mnt}/b`);
      await must("sync", [], { timeoutMs: 60_000 });
      writeFileSync(`${slice}/cgroup.freeze`, "0");
      await must("systemctl", ["stop", "frozen.service"]);
    }),
    "power-off with what a session has mounted and swapped on": async () => {
      assert(await isOn());
    },
    "power-off with a process in the volume that no unit's end ends": () => withJournal(async () => {
      await until("swap is on", isOn, waitMs);
      // Not with systemd's own words for a working directory, which would make the unit end before the mount.
      await must("systemd-run", ["--quiet", "--unit=holder", "--property=DefaultDependencies=no", "bash", "-c", `cd ${mnt} && while echo more >>holder; do sleep 0.2; done`]);
      await until("it writes", () => existsSync(`${mnt}/holder`), waitMs);
      writeFileSync("/proc/sys/kernel/printk", "7"); // what systemd says at the end goes through the kernel's log
    }),
  },
  poweredOff: {
    "power-off with swap on": wellEnded,
    "power-off with what a session has mounted and swapped on": wellEnded,
    // The last killing of systemd ends the process, but not ours, and then the volume is unmounted.
    "power-off with a process in the volume that no unit's end ends": (disks, console) => {
      assert(/Failed unmounting.*\/mnt\/swap/.test(console), `nothing was in the way:\n${console.slice(-5000)}`);
      assert.equal(console.match(/has been marked to be excluded from killing/g)?.length, 3, console.slice(-5000));
      cleanlyEnded(disks, console);
    },
  },
});
