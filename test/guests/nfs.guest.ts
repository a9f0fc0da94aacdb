// An image on NFS: with fallocate (version 4.2) and without it (4.1). The guest is server and client.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";

import { must, sh } from "../support/mounted-run";
import { withPackages } from "./support/kernels";
import type { Guest } from "./support/guest";
import { scenario } from "./support/scenario";

const mnt = "/mnt/volume";
const file = `${mnt}/swapfile`;
const MiB = 2 ** 20;
const overrides = ["--allow-cow", "--allow-unmapped-host"];

const folderOf = (version: string): string => `/mnt/nfs-${version}`;

async function reasons(guest: Guest, name: string): Promise<string[]> {
  const { stdout } = await guest.swapfs("check", name, "--json");
  return (JSON.parse(stdout) as { reasons: { kind: string }[] }).reasons.map(({ kind }) => kind);
}

/** 64 MiB of which 32 may stay, through whatever is swapped on. */
async function verifiedPressure(guest: Guest): Promise<void> {
  const result = JSON.parse(await guest.must("pressure", "--size", "64M", "--resident", "32M", "--seconds", "2", "--json")) as { badPages: number; pagesOut: number };
  assert.equal(result.badPages, 0);
  assert(result.pagesOut > 4096, `${result.pagesOut} pages out`);
}

function filesOutliveARemount(version: string): (guest: Guest) => Promise<void> {
  return async (guest) => {
    const folder = folderOf(version);
    mkdirSync(folder);
    await sh(`mount -t nfs -o vers=${version} 127.0.0.1:/ ${folder} && mkdir ${folder}/${version}`);
    const image = `${folder}/${version}/swapfs.img`;
    const { status, stdout, stderr } = await guest.swapfs("mount", image, mnt, "--size", "160M");
    assert.equal(status, 0, stdout + stderr);
    assert.match(stderr, /nfs/i);
    await sh(`dd if=/run/random of=${mnt}/a bs=1M conv=fsync status=none && truncate -s 4M ${mnt}/holes
      dd if=/run/random of=${mnt}/holes bs=4k count=10 seek=100 conv=notrunc,fsync status=none`);
    await guest.must("umount", mnt);
    await guest.must("fsck", image);
    await guest.must("mount", image, mnt);
    await sh(`cmp ${mnt}/a /run/random && dd if=${mnt}/holes bs=4k skip=100 count=10 status=none | cmp -n 40960 - /run/random`);
  };
}

const refusedInWords = async (guest: Guest): Promise<void> => {
  await guest.must("create", file, "--size", "80M");
  assert.deepEqual(await reasons(guest, file), ["cow-host", "unmapped-host"]);
  await assert.rejects(must("swapon", ["-p", "10", file]));
  const { stdout } = await guest.swapfs("check", file);
  assert.match(stdout, /the host of the image, nfs/);
  guest.note(stdout);
  await guest.must("umount", mnt);
};

function overridden(version: string): (guest: Guest) => Promise<void> {
  return async (guest) => {
    const image = `${folderOf(version)}/${version}/swapfs.img`;
    await guest.must("mount", image, mnt, ...overrides);
    assert.deepEqual(await reasons(guest, file), []);
    await guest.must("swapon", file);
    await verifiedPressure(guest);
    await guest.must("swapoff", file);
    await sh(`rm ${mnt}/a && dd if=/run/random of=${mnt}/b bs=1M conv=fsync status=none`);
    await guest.must("umount", mnt);
    await guest.must("mount", image, mnt);
    await sh(`cmp ${mnt}/b /run/random`);
    await guest.must("umount", mnt);
    await guest.must("fsck", image);
    await sh(`umount ${folderOf(version)}`);
    await guest.nothingIsLeft();
  };
}

scenario("nfs", {
  kernels: ["6.12"],
  memoryMiB: 768,
  disks: [768 * MiB],
  // A grace period of 10 s: until its end nothing can be opened. Version 4 alone needs neither rpcbind nor statd.
  prepare: `${withPackages}
    ip link set lo up && mkdir -p /mnt/volume /srv/export /var/lib/nfs/v4recovery && head -c 16M /dev/urandom >/run/random
    mkfs.ext4 -qF /dev/vda && mount /dev/vda /srv/export && modprobe -a nfsd nfsv4
    mount -t nfsd nfsd /proc/fs/nfsd; echo 10 >/proc/fs/nfsd/nfsv4leasetime; echo 10 >/proc/fs/nfsd/nfsv4gracetime
    touch /var/lib/nfs/etab /var/lib/nfs/rmtab /etc/exports
    rpc.mountd -N 2 -N 3 && exportfs -i -o rw,no_root_squash,no_subtree_check,fsid=0 '127.0.0.1:/srv/export' && rpc.nfsd -N 3 -V 4.1 -V 4.2 4`,
  steps: {
    "version 4.1, no fallocate: files outlive a remount": filesOutliveARemount("4.1"),
    "4.1: swap is refused in words": refusedInWords,
    "4.1: with both overrides swap works, verified": overridden("4.1"),
    "version 4.2: files outlive a remount": filesOutliveARemount("4.2"),
    "4.2: swap is refused in words": refusedInWords,
    "4.2: with both overrides swap works, verified": overridden("4.2"),
    "beside it, the kernel's own swapfile on NFS": async (guest) => {
      await sh(`mount -t nfs -o vers=4.2 127.0.0.1:/ ${folderOf("4.2")}`);
      const own = `${folderOf("4.2")}/own`;
      await sh(`dd if=/dev/zero of=${own} bs=1M count=80 status=none && chmod 600 ${own} && mkswap -q ${own} && swapon -p 10 ${own}`);
      await verifiedPressure(guest);
      await sh(`swapoff ${own} && umount ${folderOf("4.2")}`);
    },
  },
});
