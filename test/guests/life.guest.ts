// The life of a volume on kernels that people use: from a mount that has to load the modules to an umount that leaves nothing.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, statfsSync } from "node:fs";

import { ended } from "../support/mounted";
import { must, sh, until } from "../support/mounted-run";
import type { Guest } from "./support/guest";
import { scenario } from "./support/scenario";

const mnt = "/mnt/volume";
const device = "/dev/vda";
const file = `${mnt}/swapfile`;
const MiB = 2 ** 20;

/** The README's five lines; the last one is umount(8), as there. */
async function fiveLines(guest: Guest, source: string): Promise<void> {
  await guest.must(source, mnt);
  await sh(`fallocate -l 64M ${mnt}/a && chmod 600 ${mnt}/a && mkswap ${mnt}/a && swapon -p 10 ${mnt}/a && swapoff ${mnt}/a && umount ${mnt}`);
  await ended(mnt);
}

/** On /dev/vdb: a filesystem that a directory with an image lies on. */
function inDirectoryOn(type: "ext4" | "xfs" | "btrfs", mkfs: string): (guest: Guest) => Promise<void> {
  return async (guest) => {
    const host = `/mnt/${type}`;
    mkdirSync(host);
    await sh(`${mkfs} /dev/vdb && mount -t ${type} /dev/vdb ${host}`);
    await fiveLines(guest, host);
    assert(existsSync(`${host}/swapfs.img`));
    // The loop device lets the image go a moment after the daemon's end.
    await until(`${host} is idle`, () => sh(`umount ${host}`).then(() => true, () => false));
  };
}

async function accepted(guest: Guest, name: string): Promise<boolean> {
  const { status, stdout } = await guest.swapfs("check", name, "--json");
  const verdict = JSON.parse(stdout) as { accepted: boolean };
  assert.equal(status, verdict.accepted ? 0 : 10);
  return verdict.accepted;
}

scenario("life", {
  kernels: ["6.1", "6.12"],
  disks: [512 * MiB, 512 * MiB],
  prepare: "mkdir /mnt/volume",
  steps: {
    "a virtio disk: mount loads what it needs, and the five lines work": async (guest) => {
      const early = await guest.swapfs("doctor", "--json");
      const { findings } = JSON.parse(early.stdout) as { findings: { name: string; state: string }[] };
      assert.deepEqual(findings.filter(({ state }) => state === "fail"), []);
      await guest.must("mount", device, mnt, "--format");
      await must("umount", [mnt]);
      await fiveLines(guest, device);
    },
    "a directory on ext4": inDirectoryOn("ext4", "mkfs.ext4 -qF"),
    "a directory on xfs": inDirectoryOn("xfs", "mkfs.xfs -qf"),
    "a directory on btrfs": inDirectoryOn("btrfs", "mkfs.btrfs -qf"),
    "create --on, and pressure in a cgroup of version 2": async (guest) => {
      await guest.must(device, mnt);
      await guest.must("create", file, "--size", "160M", "--on", "--priority", "10");
      const result = JSON.parse(await guest.must("pressure", "--size", "128M", "--resident", "64M", "--seconds", "2", "--json")) as
        { method: string; badPages: number; pagesOut: number };
      assert.equal(result.method, "cgroup v2");
      assert.equal(result.badPages, 0);
      assert(result.pagesOut > 8192, `${result.pagesOut} pages out`);
      await guest.must("swapoff", file);
    },
    "check, prepare, map, pin": async (guest) => {
      const sparse = `${mnt}/sparse`;
      await sh(`truncate -s 32M ${sparse} && chmod 600 ${sparse} && mkswap -q ${sparse}`);
      assert.equal(await accepted(guest, sparse), false);
      await guest.must("prepare", sparse);
      assert.equal(await accepted(guest, sparse), true);
      const map = JSON.parse(await guest.must("map", sparse, "--json")) as { extents: { count: number }[] };
      assert.equal(map.extents.reduce((sum, { count }) => sum + count, 0), 8192);
      await guest.must("pin", sparse);
      await assert.rejects(must("mv", [sparse, `${mnt}/other`]));
      await guest.must("unpin", sparse);
      await must("mv", [sparse, `${mnt}/other`]);
    },
    "activate, and verified direct I/O": async (guest) => {
      await guest.must("activate", `${mnt}/other`);
      await sh(`head -c 16M /dev/urandom >/run/random && dd if=/run/random of=${mnt}/other bs=64k oflag=direct conv=notrunc status=none
        dd if=${mnt}/other bs=64k count=256 iflag=direct status=none | cmp - /run/random && rm /run/random`);
      await guest.must("deactivate", `${mnt}/other`);
    },
    "swapon --loop": async (guest) => {
      await guest.must("swapon", "--loop", file);
      await guest.must("swapoff", file);
    },
    "shrink and grow": async (guest) => {
      const blocks = (): number => statfsSync(mnt).blocks;
      await guest.must("shrink", mnt, "--size", "400M");
      const shrunk = blocks();
      await guest.must("grow", mnt);
      assert(blocks() > shrunk, `${blocks()} blocks after it, ${shrunk} before`);
      assert.equal(await accepted(guest, file), true);
    },
    "umount leaves nothing, and fsck finds nothing": async (guest) => {
      await guest.must("umount", mnt);
      await guest.must("fsck", device);
      await guest.nothingIsLeft();
    },
  },
});
