// Power cuts. A guest's disk keeps a log of what was written and flushed; behind each operation the guest writes a mark to another
// part of the same disk. From the log the host makes what a cut at any moment may have left, opens it, and asks for all that
// had been promised by then.

import assert from "node:assert/strict";
import { closeSync, fsyncSync, openSync, readFileSync, readdirSync, writeSync } from "node:fs";
import path from "node:path";

import { mountSwapfs, umount } from "../support/mounted";
import { Cleanup, withCleanup } from "../support/mounted-cleanup";
import { must, swapfs } from "../support/mounted-run";
import { Random } from "../volume/random";
import type { Disks } from "./support/disks";
import type { Guest } from "./support/guest";
import { FilesModel, pageOf, type Operation } from "./support/files-model";
import { partitionTable } from "./support/partitions";
import { scenario } from "./support/scenario";
import { AfterCut, WriteLog } from "./support/write-log";

const mnt = "/mnt/volume";
const MiB = 2 ** 20;
/** /dev/vda1 for the volume, /dev/vda2 for the marks. */
const volume = { sector: 2048, sectors: (96 * MiB) / 512 };
const marks = { sector: volume.sector + volume.sectors, sectors: (2 * MiB) / 512 };
const kinds = ["create", "write", "clone", "swapoff", "grow"] as const;
const cutsOfKind = Math.ceil(Number(process.env["SWAPFS_CUTS"] ?? 25) / kinds.length);
const roundsOfGuest = 4;

let marked = 0;

/** Past the page cache and without a flush, which would make durable what is to be tested. */
async function mark(operation: Operation, done: boolean): Promise<void> {
  const text = JSON.stringify({ ...operation, done });
  await must("dd", ["of=/dev/vda2", "bs=4096", "count=1", `seek=${marked}`, "oflag=direct", "conv=notrunc,sync", "status=none"], { input: text.padEnd(4096) });
  marked += 1;
}

async function marking(operation: Operation, work: () => Promise<unknown> | unknown): Promise<void> {
  await mark(operation, false);
  await work();
  await mark(operation, true);
}

function durably(name: string, flags: "r+" | "w", work: (fd: number) => void): void {
  const fd = openSync(path.join(mnt, name), flags);
  work(fd);
  fsyncSync(fd);
  closeSync(fd);
}

function syncFolder(): void {
  const fd = openSync(mnt, "r");
  fsyncSync(fd);
  closeSync(fd);
}

function writePages(fd: number, from: number, pages: number, id: number): void {
  for (let page = from; page < from + pages; page += 1) writeSync(fd, pageOf(id, page), 0, 4096, page * 4096);
}

async function round(guest: Guest, number: number): Promise<void> {
  const id = number * 10;
  const file = `file${number}`;
  const create = { kind: "create", name: file, pages: 48, id } as const;
  await marking(create, () => {
    durably(file, "w", (fd) => writePages(fd, 0, create.pages, id));
    syncFolder();
  });
  const write = { kind: "write", name: file, from: 5 * number, pages: 13, id: id + 1 } as const;
  await marking(write, () => durably(file, "r+", (fd) => writePages(fd, write.from, write.pages, write.id)));
  await marking({ kind: "clone", name: file, to: `clone${number}` }, async () => {
    await must("cp", [`${mnt}/${file}`, `${mnt}/clone${number}`]);
    durably(`clone${number}`, "r+", () => undefined);
    syncFolder();
  });
  const behind = { kind: "write", name: `clone${number}`, from: 2, pages: 9, id: id + 2 } as const;
  await marking(behind, () => durably(behind.name, "r+", (fd) => writePages(fd, behind.from, behind.pages, behind.id)));
  if (number % 2 === 0) {
    await marking({ kind: "remove", name: `file${number - 1}` }, async () => {
      await must("rm", [`${mnt}/file${number - 1}`]);
      syncFolder();
    });
  }
  await guest.must("swapon", `${mnt}/swapfile`);
  await guest.must("pressure", "--size", "12M", "--resident", "4M", "--seconds", "1");
  await marking({ kind: "swapoff" }, () => guest.must("swapoff", `${mnt}/swapfile`));
  await guest.must("shrink", mnt, "--size", "80M");
  await marking({ kind: "grow" }, () => guest.must("grow", mnt));
}

scenario("power", {
  kernels: ["6.1", "6.12"],
  loggedDisk: 100 * MiB,
  stepMinutes: 12,
  prepare: "mkdir /mnt/volume",
  steps: {
    "files, clones, swap and other lengths, each marked when it is done": async (guest) => {
      const disk = openSync("/dev/vda", "r+");
      writeSync(disk, partitionTable([volume, marks]));
      fsyncSync(disk);
      closeSync(disk);
      await must("blockdev", ["--rereadpt", "/dev/vda"]);
      await guest.must("mount", "/dev/vda1", mnt, "--format");
      await marking({ kind: "swapfile" }, async () => {
        await guest.must("create", `${mnt}/swapfile`, "--size", "24M");
        await must("sync", ["-f", mnt]);
      });
      for (let number = 1; number <= roundsOfGuest; number += 1) await round(guest, number);
    },
    "umount": async (guest) => {
      await guest.must("umount", mnt);
      await guest.nothingIsLeft();
    },
  },
  afterwards: {
    [`${kinds.length * cutsOfKind} cuts: each opens, is sound, and holds what was promised`]: lookAtCuts,
  },
});

interface Mark {
  readonly at: number;
  readonly operation: Operation;
  readonly done: boolean;
}

function marksIn(log: WriteLog): Mark[] {
  return log.entries.flatMap((entry, at) => {
    if (entry.kind !== "write" || entry.sector < marks.sector || entry.sector >= marks.sector + marks.sectors) return [];
    const { done, ...operation } = JSON.parse(log.data(entry).toString()) as Operation & { done: boolean };
    return [{ at, operation, done }];
  });
}

async function lookAtCuts(disks: Disks): Promise<void> {
  const seed = Number(process.env["SWAPFS_SEED"] ?? Date.now() % 100_000);
  const random = new Random(seed).next;
  const log = new WriteLog(disks.log);
  try {
    const found = marksIn(log);
    const parts = path.join(disks.dir, "durable");
    const cut = new AfterCut(log, volume, parts);
    for (const at of cutsFrom(found, random)) {
      const image = path.join(disks.dir, "cut.img");
      cut.make(at, image, random);
      await lookAt(image, found.filter((one) => one.at <= at)).catch((error: Error) => {
        throw new Error(`cut behind entry ${at} of ${log.entries.length}, SWAPFS_SEED=${seed}: ${error.message}`);
      });
    }
  } finally {
    log.close();
  }
}

/** Of each kind of operation some moments between its beginning and its end. */
function cutsFrom(found: readonly Mark[], random: () => number): number[] {
  return kinds.flatMap((kind) => {
    const spans = found.flatMap((mark, index) => (mark.operation.kind === kind && !mark.done ? [[mark.at, found[index + 1]!.at] as const] : []));
    assert(spans.length > 0, `no ${kind} in the log`);
    return Array.from({ length: cutsOfKind }, (_, index) => {
      const [from, to] = spans[index % spans.length]!;
      return from + Math.floor(random() * (to - from + 1));
    });
  }).sort((a, b) => a - b);
}

async function lookAt(image: string, before: readonly Mark[]): Promise<void> {
  const model = new FilesModel();
  before.forEach(({ operation, done }, index) => {
    if (done) model.done(operation);
    else if (index === before.length - 1) model.underWay(operation);
  });
  await must(process.execPath, ["dist/cli/main.js", "fsck", image]);
  await withCleanup(async (cleanup: Cleanup) => {
    const mountpoint = `${path.dirname(image)}/mnt`;
    await mountSwapfs(cleanup, image, mountpoint);
    const names = readdirSync(mountpoint).filter((name) => name !== "swapfile" && name !== "lost+found");
    model.compare(names, (name) => readFileSync(path.join(mountpoint, name)));
    const { status, stdout } = await swapfs(["check", `${mountpoint}/swapfile`]);
    assert.equal(status, 0, stdout);
    await umount(mountpoint);
  });
  await must(process.execPath, ["dist/cli/main.js", "fsck", image]);
}
