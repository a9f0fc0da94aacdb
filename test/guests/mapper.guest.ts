// Block views by device mapper: a file in many extents, and swap encrypted with a key that no disk has. From the first ioctl to a mount that
// takes over what all processes left.

import assert from "node:assert/strict";
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";

import { addon } from "#src/sys/addon";
import { deviceNumberOf } from "#src/sys/blockdevice";
import { attachPart } from "#src/sys/loop";
import { letGo, loadMapper, stackMapper } from "#src/sys/mapper";
import { pidOf, type Role } from "../support/mounted";
import { must, run, sh, until } from "../support/mounted-run";
import type { Guest } from "./support/guest";
import { scenario } from "./support/scenario";

const mnt = "/mnt/volume";
const device = "/dev/vda";
const many = `${mnt}/many`;
const small = `${mnt}/small`;
const MiB = 2 ** 20;

interface Area {
  readonly path: string;
  readonly through: string;
  readonly way: string;
}

async function areaOf(guest: Guest, file: string): Promise<Area> {
  const { volumes: [volume] } = JSON.parse(await guest.must("status", mnt, "--json")) as { volumes: { swap: Area[] }[] };
  return volume!.swap.find(({ path }) => path === file)!;
}

function devices(): string[] {
  return readdirSync("/sys/block").filter((name) => name.startsWith("dm-"));
}

async function allGone(): Promise<void> {
  await until("device mapper has no device", () => devices().length === 0);
  await until("no loop device is attached", () => readdirSync("/sys/block").every((name) => !name.startsWith("loop") || !readdirSync(`/sys/block/${name}`).includes("loop")));
}

/** Pieces of 16 pages, with others' between them. */
function fragmented(file: string, pieces: number): void {
  const fds = [file, `${mnt}/between`].map((name) => openSync(name, "w", 0o600));
  for (let piece = 0; piece < pieces; piece += 1) for (const fd of fds) addon().fallocate(fd, 0, piece * 65536, 65536);
  for (const fd of fds) closeSync(fd);
  rmSync(`${mnt}/between`);
}

async function extentsOf(guest: Guest, file: string): Promise<number> {
  return (JSON.parse(await guest.must("map", file, "--json")) as { extents: unknown[] }).extents.length;
}

/** Of which the first one loads modules as well. */
async function timed(guest: Guest, how: string, file: string): Promise<void> {
  const begun = performance.now();
  await guest.must("swapon", how, file, "--priority", "10");
  const took = Math.round(performance.now() - begun);
  guest.note(`swapon ${how} of ${await extentsOf(guest, file)} extents took ${took} ms`);
}

async function pressure(guest: Guest): Promise<void> {
  const result = JSON.parse(await guest.must("pressure", "--size", "48M", "--resident", "24M", "--seconds", "1", "--json")) as { badPages: number; pagesOut: number };
  assert.equal(result.badPages, 0);
  assert(result.pagesOut > 1000, `${result.pagesOut} pages out`);
}

const marker = "a-marker-that-was-swapped-out";

/** How often the disk has what a file in memory held, most of which was swapped out. */
async function markersOnDisk(guest: Guest): Promise<number> {
  await sh(`c=/sys/fs/cgroup/marker; mkdir -p $c; echo +memory >/sys/fs/cgroup/cgroup.subtree_control; echo 8M >$c/memory.max
    sh -c 'echo $$ >/sys/fs/cgroup/marker/cgroup.procs; yes ${marker} | head -c 32M >/dev/shm/marker'`);
  const [, area] = readFileSync("/proc/swaps", "utf8").trim().split("\n").map((line) => line.split(/\s+/));
  assert(Number(area![3]) > 16 * 1024, `${area![3]} KiB are swapped out`);
  const found = Number(await sh(`dd if=${device} bs=1M iflag=direct status=none | grep -a -o ${marker} | wc -l`, { timeoutMs: 300_000 }));
  rmSync("/dev/shm/marker");
  guest.note(`${found} markers on the disk with ${area![3]} KiB swapped out`);
  return found;
}

async function killAll(): Promise<void> {
  const roles: readonly Role[] = ["keeper", "data plane", "control plane"];
  const pids = await Promise.all(roles.map((role) => pidOf(mnt, role)));
  for (const pid of pids) process.kill(pid!, "SIGKILL"); // the keeper first: it would start the others again
}

scenario("mapper", {
  kernels: ["6.1", "6.12"],
  disks: [256 * MiB, 64 * MiB],
  prepare: "mkdir /mnt/volume",
  steps: {
    "a file of 1,000 extents is on at once, verified under pressure, and off": async (guest) => {
      await guest.must("mount", device, mnt, "--format");
      fragmented(many, 1000);
      await sh(`mkswap -q ${many}`);
      const extents = await extentsOf(guest, many);
      assert(extents >= 900, `${extents} extents`);
      await timed(guest, "--block", many);
      assert.equal((await areaOf(guest, many)).way, "block view, device mapper");
      await pressure(guest);
      await guest.must("swapoff", many);
      await allGone();
    },
    "umount names a view and does nothing; killed, mounted again, it is taken over, and swapoff(8) ends it": async (guest) => {
      await timed(guest, "--block", many);
      const { through } = await areaOf(guest, many);
      const refused = await guest.swapfs("umount", mnt);
      assert.equal(refused.status, 12, refused.stderr);
      assert.match(refused.stderr, /many is swapped on/);
      await killAll();
      await guest.must("umount", mnt);
      const formatted = await guest.swapfs("mount", device, mnt, "--format", "--force");
      assert.match(formatted.stderr, new RegExp(`block view, ${through}`));
      assert.equal((await run("rm", [many])).status, 1); // not mounted
      await guest.must("mount", device, mnt);
      assert.equal((await areaOf(guest, many)).through, through);
      assert.notEqual((await run("rm", [many])).status, 0);
      await must("swapoff", [through]);
      await allGone();
      rmSync(many);
    },
    "encrypted: what was swapped out is not on the disk; as it is, it is there": async (guest) => {
      await guest.must("create", small, "--size", "64M", "--on", "--encrypt", "--priority", "10");
      assert.equal((await areaOf(guest, small)).way, "block view, device mapper, encrypted");
      assert.equal(await markersOnDisk(guest), 0);
      assert(!/swapfs:/.test(readFileSync("/proc/keys", "utf8")), "the key is in a keyring still");
      await pressure(guest);
      await guest.must("swapoff", small);
      await allGone();
      await guest.must("swapon", "--block", small, "--priority", "10");
      assert.match((await guest.swapfs("swapon", "--encrypt", small)).stderr, /swapped on by its block view .* as it is/);
      assert(await markersOnDisk(guest) > 1000);
      await guest.must("swapoff", small);
      rmSync(small);
      await sh(`head -c 2M /dev/urandom >${small} && chmod 600 ${small} && cp ${small} /run/data`);
      const refused = await guest.swapfs("swapon", "--encrypt", small);
      assert.deepEqual([refused.status, /carries no swap header, run mkswap/.test(refused.stderr)], [10, true], refused.stderr);
      await allGone();
      await sh(`cmp ${small} /run/data && rm ${small}`);
    },
    "encrypted over several extents; taken over, and swapped off without a process": async (guest) => {
      fragmented(small, 600);
      await sh(`mkswap -q ${small}`);
      await timed(guest, "--encrypt", small);
      assert.equal(devices().length, 2);
      await pressure(guest);
      await killAll();
      await guest.must("umount", mnt);
      await guest.must("mount", device, mnt);
      assert.equal((await areaOf(guest, small)).way, "block view, device mapper, encrypted");
      await killAll();
      await guest.must("swapoff", "--all-views");
      await allGone();
      await guest.must("umount", mnt);
      await guest.must("mount", device, mnt);
      await guest.must("swapon", "--encrypt", small, "--priority", "10"); // with a new key and header: the file's own is as it was
    },
    "a name that is taken: another's is told, and what a crash has left is replaced; all of it is undone": async (guest) => {
      const [id] = devices().map((name) => readFileSync(`/sys/block/${name}/dm/uuid`, "utf8"));
      const [, uuid, ino] = /^SWAPFS-(\w{32})-(\d+)/.exec(id!)!;
      await guest.must("swapoff", small);
      await allGone();
      assert(loadMapper());
      const foreign = Buffer.from(uuid!, "hex");
      foreign[15]! ^= 1; // which the name does not show
      const loop = attachPart(() => openSync("/dev/vdb", "r+"), "a part", { offset: 4096, length: 16 * MiB, name: "x", discard: true });
      const table = { ino: Number(ino), parts: [{ offset: 0, length: MiB }, { offset: 2 * MiB, length: MiB }], encrypted: false };
      const taken = stackMapper(deviceNumberOf(fstatSync(loop.fd).rdev), { ...table, uuid: foreign });
      const refused = await guest.swapfs("swapon", "--encrypt", small);
      assert.match(refused.stderr, /somebody else's device has the name swapfs-/);
      assert.equal(devices().length, 1);
      closeSync(taken.fd);
      await until("it has gone", () => devices().length === 0);
      const beyond = [{ offset: 0, length: MiB }, { offset: 16 * MiB, length: MiB }]; // the end of what is below
      assert.throws(() => stackMapper(deviceNumberOf(fstatSync(loop.fd).rdev), { ...table, parts: beyond, uuid: foreign }), /device mapper makes no linear device/);
      assert.deepEqual(devices(), []);
      letGo(foreign, table.ino);
      closeSync(loop.fd);
      await allGone();
      await must("dmsetup", ["create", `swapfs-${uuid!.slice(0, 8)}-${ino}`, "--uuid", `SWAPFS-${uuid}-${ino}`, "--notable", "--noudevsync"]);
      await guest.must("swapon", "--encrypt", small, "--priority", "10");
      await guest.must("swapoff", small);
      await allGone();
    },
    "umount leaves nothing, and fsck finds nothing": async (guest) => {
      rmSync(small);
      await guest.must("umount", mnt);
      await guest.must("fsck", device);
      await guest.nothingIsLeft();
    },
  },
});
