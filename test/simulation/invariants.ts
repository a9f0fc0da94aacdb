// What must be true of a volume at every moment, whoever is at work on it. One list for every simulation.

import { bytesOfPages, pageSize } from "#src/base/units";
import type { BlockDevice } from "#src/volume/blockdevice";
import type { Extent } from "#src/volume/changes";
import type { System } from "./adapter";
import { cellBytes, cellsOfFile, valueOf, type Contents } from "./contents";
import type { Writer } from "./plane";

/** What the kernel has learned by BMAP and swaps to, without asking anybody. */
export interface SwapArea {
  readonly ino: number;
  readonly fh: bigint;
  /** device pages */
  readonly map: readonly number[];
  /** what was swapped out, by page of the area */
  readonly held: Map<number, number>;
}

export interface Watched {
  readonly system: System;
  readonly device: BlockDevice;
  readonly contents: Contents;
  readonly swaps: Set<SwapArea>;
}

export class Violation extends Error {}

type Owner = { readonly ino: number; readonly state: Extent["state"] };

export class Invariants {
  readonly #watched: Watched;
  /** Where the pages of leased files lay when they were looked at last. */
  #leased = new Map<number, Map<number, number>>();
  #known: ReadonlyMap<number, readonly Owner[]> | undefined;

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  /** Extents are others now. */
  changed(): void {
    this.#known = undefined;
    this.#checkSharing(this.#owners());
  }

  /** After every step. */
  check(): void {
    this.#checkLeases();
    this.#checkReachable();
    this.#checkSwap();
  }

  /** What takes longer: all that fsck finds, and every cell of every file. */
  checkAll(): void {
    this.check();
    const { system, contents } = this.#watched;
    const wrong = system.volume.check().findings.filter(({ severity }) => severity === "error");
    if (wrong.length > 0) throw new Violation(`fsck: ${wrong.map(({ message }) => message).join("; ")}`);
    for (const ino of contents.files.keys()) if (system.volume.inode(ino) !== undefined) this.checkContents(ino, contents.tick());
  }

  /** The data plane reads or writes a device page: never a free one, nor writes to one of a leased file or of another file. */
  guard(devicePage: number, writer: Writer): void {
    const { system } = this.#watched;
    if (system.volume.adopt({ page: devicePage, count: 1 })) throw new Violation(`${describe(writer)} uses device page ${devicePage}, which is free`);
    if (writer.kind === "read") return;
    for (const { ino, state } of this.#owners().get(devicePage) ?? []) {
      const lease = system.lease(ino);
      const own = writer.kind === "file" && writer.ino === ino;
      if (lease !== "none" && !(own && lease === "swap_rw")) {
        throw new Violation(`${describe(writer)} writes to device page ${devicePage} of ino ${ino}, which is ${lease}`);
      }
      if (writer.kind === "copy") throw new Violation(`a copy overwrites device page ${devicePage} of ino ${ino}`);
      if (writer.kind === "file" && !own) throw new Violation(`${describe(writer)} writes to device page ${devicePage} of ino ${ino} (${state})`);
    }
  }

  /** Acknowledged data is there: not older, not zeros, not another file's. */
  checkContents(ino: number, since: number, read = this.peek(ino)): void {
    const file = this.#watched.contents.file(ino);
    for (let cell = 0; cell < cellsOfFile; cell += 1) this.checkCell(ino, cell, read.subarray(cell * cellBytes, (cell + 1) * cellBytes), file.allowed(cell, since));
  }

  checkCell(ino: number, cell: number, bytes: Buffer, allowed: readonly number[]): void {
    const value = valueOf(bytes);
    if (allowed.includes(value)) return;
    throw new Violation(`ino ${ino}, cell ${cell} (page ${Math.floor((cell * cellBytes) / pageSize)}) holds ${value}, allowed: ${allowed.join(", ")}`);
  }

  /** The contents as the extents have them now; behind the end zeros. */
  peek(ino: number): Buffer {
    const { system, device } = this.#watched;
    const inode = system.volume.inode(ino)!;
    const into = Buffer.alloc(cellsOfFile * cellBytes);
    for (const { filePage, devicePage, count, state } of inode.extents) {
      if (state === "unwritten") continue;
      for (let n = 0; n < count && bytesOfPages(filePage + n) < into.length; n += 1) {
        device.read(bytesOfPages(devicePage + n), pageSize).copy(into, bytesOfPages(filePage + n));
      }
    }
    if (inode.size < into.length) into.fill(0, inode.size);
    return into;
  }

  #owners(): ReadonlyMap<number, readonly Owner[]> {
    return (this.#known ??= this.#findOwners());
  }

  #findOwners(): ReadonlyMap<number, readonly Owner[]> {
    const owners = new Map<number, Owner[]>();
    for (const { ino, extents } of this.#watched.system.volume.inodes()) {
      for (const { devicePage, count, state } of extents) {
        for (let page = devicePage; page < devicePage + count; page += 1) {
          const list = owners.get(page);
          if (list === undefined) owners.set(page, [{ ino, state }]);
          else list.push({ ino, state });
        }
      }
    }
    return owners;
  }

  #checkSharing(owners: ReadonlyMap<number, readonly Owner[]>): void {
    for (const [page, list] of owners) {
      if (list.length < 2 || list.every(({ state }) => state === "shared")) continue;
      throw new Violation(`device page ${page} belongs to ${list.map(({ ino, state }) => `ino ${ino} (${state})`).join(" and ")}`);
    }
  }

  #checkLeases(): void {
    const { system } = this.#watched;
    const now = new Map<number, Map<number, number>>();
    for (const ino of system.leased()) {
      const inode = system.volume.inode(ino);
      if (inode === undefined) throw new Violation(`ino ${ino} is ${system.lease(ino)} and was freed`);
      if (!this.#leased.has(ino)) this.#checkNobodyWrites(ino);
      const map = new Map<number, number>();
      for (const { filePage, devicePage, count } of inode.extents) for (let n = 0; n < count; n += 1) map.set(filePage + n, devicePage + n);
      for (const [filePage, devicePage] of this.#leased.get(ino) ?? []) {
        if (map.get(filePage) !== devicePage) throw new Violation(`page ${filePage} of ino ${ino}, which is ${system.lease(ino)}, has left device page ${devicePage}`);
      }
      now.set(ino, map);
    }
    this.#leased = now;
  }

  /** Of a file that has just been leased. */
  #checkNobodyWrites(ino: number): void {
    const { system } = this.#watched;
    const writers = system.handles.of(ino).filter(({ flags, swapon }) => (flags & 3) !== 0 && swapon !== true);
    if (writers.length > 0) throw new Violation(`ino ${ino} became ${system.lease(ino)} while pid ${writers[0]!.pid} has it open for writing`);
  }

  #checkReachable(): void {
    const { system } = this.#watched;
    for (const { ino, fh } of system.handles.open_.values()) {
      if (system.volume.inode(ino) === undefined) throw new Violation(`ino ${ino} was freed while handle ${fh} is open`);
    }
  }

  /** What is swapped on is leased, lies where the kernel writes to it, and holds what was swapped out. */
  #checkSwap(): void {
    const { system, device } = this.#watched;
    for (const { ino, map, held } of this.#watched.swaps) {
      if (system.lease(ino) === "none") throw new Violation(`ino ${ino} is swapped on and not leased`);
      for (const [page, devicePage] of map.entries()) {
        const extent = system.volume.inode(ino)?.extents.find(page);
        if (extent === undefined || extent.devicePage + page - extent.filePage !== devicePage) {
          throw new Violation(`page ${page} of ino ${ino} does not lie where the kernel swaps to`);
        }
        const value = held.get(page);
        const found = value === undefined ? undefined : valueOf(device.read(bytesOfPages(devicePage), pageSize));
        if (found !== value) throw new Violation(`swapped out page ${page} of ino ${ino} holds ${found} instead of ${value}`);
      }
    }
  }
}

function describe(writer: Writer): string {
  return writer.kind === "file" ? `a write to ino ${writer.ino}` : writer.kind;
}
