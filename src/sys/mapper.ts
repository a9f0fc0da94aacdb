// Block views by device mapper: a device over the loop device of the view, which joins its runs of blocks (linear), encrypts them (crypt),
// or both. No dmsetup and no udev is needed. Each device is marked for deferred removal as soon as it is open: like an autoclear loop
// device it goes with its last user, and lets go what it lies on, whoever has died meanwhile.

import { closeSync, openSync } from "node:fs";
import { basename } from "node:path";
import { FsError, messageOf } from "../base/errors";
import { bytes, i32, Struct, u32, u64, type ValuesOf } from "../base/struct";
import { pageSize, sectorSize } from "../base/units";
import { addon } from "./addon";
import { deviceNumberOf } from "./blockdevice";
import { ifAny, listFolder, readText, statIfAny, withOpen } from "./kernelfiles";
import type { SourcePart } from "./loop";
import { runTool } from "./tools";

/** Of one that `stackMapper` made; `fd` holds it. */
export interface StackedDevice {
  readonly fd: number;
  /** /dev/dm-3 */
  readonly device: string;
}

export interface MapperTable {
  /** The volume's. */
  readonly uuid: Buffer;
  readonly ino: number;
  /** Bytes of the device below, in the order of the file's pages. */
  readonly parts: readonly SourcePart[];
  readonly encrypted: boolean;
}

const control = "/dev/mapper/control";

/** include/uapi/linux/dm-ioctl.h */
const dm_ioctl = new Struct("dm_ioctl", {
  version: bytes(12, 4), data_size: u32, data_start: u32, target_count: u32, open_count: i32, flags: u32, event_nr: u32, padding: u32,
  dev: u64, name: bytes(128), uuid: bytes(129), data: bytes(7),
});
const dm_target_spec = new Struct("dm_target_spec", { sector_start: u64, length: u64, status: i32, next: u32, target_type: bytes(16) });
const commands = { create: 3, remove: 4, suspend: 6, status: 7, load: 9 } as const;
/** 4.27 has deferred removal (Linux 3.13). */
const version = Buffer.from(new Uint32Array([4, 27, 0]).buffer);
const deferredRemove = 1 << 17;

const uuidPrefix = "SWAPFS-";
const cryptSuffix = "-crypt";
const keyBytes = 64; // two keys of 256 bits, for XTS
const pageSectors = pageSize / sectorSize;

/** Whether the kernel has device mapper; its modules are loaded where nobody has. */
export function loadMapper(): boolean {
  if (!answers()) runTool("modprobe", ["-q", "dm_mod"]);
  return answers();
}

/** Its node may be there without it. */
function answers(): boolean {
  return ifAny(() => withOpen(control, "r+", () => true)) === true;
}

/**
 * One device over the loop device `below`, "7:3": the linear one of several runs, over that the encrypted one. All or none. What a
 * crash of ours has left under these names is removed. Throws FsError, with the remedy.
 */
export function stackMapper(below: string, { uuid, ino, parts, encrypted }: MapperTable): StackedDevice {
  const name = mapperName(uuid, ino);
  const id = mapperUuid(uuid, ino);
  try {
    if (!encrypted) return made(name, id, linear(below, parts));
    runTool("modprobe", ["-q", "dm_crypt"]);
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    if (parts.length === 1) return encryptedOver(below, parts[0]!.offset, length, name, id);
    const joined = made(name, id, linear(below, parts));
    try {
      return encryptedOver(numberOf(joined.device), 0, length, name, id);
    } finally {
      closeSync(joined.fd);
    }
  } catch (error) {
    letGo(uuid, ino);
    throw error;
  }
}

/** Those of a view go as soon as nobody has them open: what is left of one whose maker was killed at once. */
export function letGo(uuid: Buffer, ino: number): void {
  if (majorNumber() === undefined) return; // to open its node may load it, and nothing of it is there
  const id = mapperUuid(uuid, ino);
  for (const one of [`${id}${cryptSuffix}`, id]) ifAny(() => ioctl(commands.remove, { uuid: one, flags: deferredRemove }));
}

/** The same by what `mapperIdOf` said of a device of it, whose number another may have by now. */
export function letGoOf(id: string | undefined): void {
  const [, uuid, ino] = /^SWAPFS-([0-9a-f]{32})-(\d+)/.exec(id ?? "") ?? [];
  if (uuid !== undefined) letGo(Buffer.from(uuid, "hex"), Number(ino));
}

/** The uppermost of our devices over this one, which may be itself. */
export function topOf(device: string, sysfs = "/sys"): string {
  for (const holder of listFolder(`${sysfs}/block/${basename(device)}/holders`)) {
    if (mapperIdOf(holder, sysfs) !== undefined) return topOf(`/dev/${holder}`, sysfs);
  }
  return device;
}

/** What device mapper knows one of ours by, also when nobody else does; undefined: it is none. */
export function mapperIdOf(device: string, sysfs = "/sys"): string | undefined {
  const id = readText(`${sysfs}/block/${basename(device)}/dm/uuid`);
  return id?.startsWith(uuidPrefix) === true ? id : undefined;
}

/** It may have had another name when it was made. */
export function nameOfView(device: string): string | undefined {
  return mapperIdOf(device) === undefined ? undefined : readText(`/sys/block/${basename(device)}/dm/name`);
}

export type ViewWay = "loop" | "device mapper" | "device mapper, encrypted";

export function wayOf(device: string, sysfs = "/sys"): ViewWay {
  const id = mapperIdOf(device, sysfs);
  return id === undefined ? "loop" : id.endsWith(cryptSuffix) ? "device mapper, encrypted" : "device mapper";
}

function mapperName(uuid: Buffer, ino: number): string {
  return `swapfs-${uuid.toString("hex").slice(0, 8)}-${ino}`;
}

function mapperUuid(uuid: Buffer, ino: number): string {
  return `${uuidPrefix}${uuid.toString("hex")}-${ino}`;
}

interface Target {
  readonly start: number;
  readonly length: number;
  readonly type: "linear" | "crypt";
  readonly params: string;
}

/** Adjoining parts are one already. All numbers are sectors. */
function linear(below: string, parts: readonly SourcePart[]): Target[] {
  let start = 0;
  return parts.map(({ offset, length: byteLength }) => {
    const length = byteLength / sectorSize;
    const target: Target = { start, length, type: "linear", params: `${below} ${offset / sectorSize}` };
    start += length;
    return target;
  });
}

/** Behind the file's own swap header, which stays as it is: the gate goes on to know the file for a swapfile. */
function encryptedOver(below: string, offset: number, length: number, name: string, id: string): StackedDevice {
  const description = `swapfs:${name}`;
  const key = addon().addRandomKey(description, keyBytes);
  try {
    return made(`${name}${cryptSuffix}`, `${id}${cryptSuffix}`, [{
      start: 0, length: length / sectorSize - pageSectors, type: "crypt",
      params: `aes-xts-plain64 :${keyBytes}:logon:${description} 0 ${below} ${offset / sectorSize + pageSectors} 1 sector_size:${pageSize}`,
    }]);
  } finally {
    addon().unlinkKey(key); // the device has a copy
  }
}

function made(name: string, uuid: string, table: readonly Target[]): StackedDevice {
  create(name, uuid);
  try {
    ioctl(commands.load, { uuid, table });
    const { dev } = ioctl(commands.suspend, { uuid }); // which resumes it
    const device = `/dev/dm-${minorOf(dev)}`;
    const fd = openDevice(device, minorOf(dev));
    ioctl(commands.remove, { uuid, flags: deferredRemove });
    return { fd, device };
  } catch (error) {
    ifAny(() => ioctl(commands.remove, { uuid, flags: deferredRemove }));
    throw new FsError("EIO", `device mapper makes no ${table[0]!.type} device of it (${messageOf(error)}), look at dmesg`);
  }
}

function create(name: string, uuid: string): void {
  try {
    ioctl(commands.create, { name, uuid });
    return;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw new FsError("EIO", `device mapper makes no device (${messageOf(error)})`);
  }
  const other = ifAny(() => ioctl(commands.status, { name }));
  if (other !== undefined && textOf(other.uuid) !== uuid) {
    throw new FsError("EBUSY", `somebody else's device has the name ${name}: rename or remove it (dmsetup info ${name})`);
  }
  try {
    ifAny(() => ioctl(commands.remove, { uuid }));
    ioctl(commands.create, { name, uuid });
  } catch {
    throw new FsError("EBUSY", `device mapper has ${name} already, in use by somebody: end that (dmsetup info ${name}), then dmsetup remove ${name}`);
  }
}

/** undefined: the kernel has no device mapper, or not yet. */
function majorNumber(): string | undefined {
  return /^ *(\d+) device-mapper$/m.exec(readText("/proc/devices") ?? "")?.[1];
}

/** devtmpfs has made its node; else mknod(1) does. */
function openDevice(device: string, minor: number): number {
  const major = majorNumber();
  if (statIfAny(device) === undefined) runTool("mknod", ["-m", "0600", device, "b", major!, String(minor)]);
  const fd = openSync(device, "r");
  if (numberOf(device) === `${major}:${minor}`) return fd;
  closeSync(fd);
  throw new FsError("ENODEV", `${device} is another device, remove it`);
}

function numberOf(device: string): string {
  return deviceNumberOf(statIfAny(device)?.rdev ?? 0);
}

/** huge_encode_dev (include/linux/kdev_t.h) */
function minorOf(dev: bigint): number {
  return Number((dev & 0xffn) | ((dev >> 12n) & 0xfff00n));
}

interface Request {
  readonly name?: string;
  readonly uuid?: string;
  readonly flags?: number;
  readonly table?: readonly Target[];
}

/** Throws an Error with `code`. */
function ioctl(command: number, { name = "", uuid = "", flags = 0, table = [] }: Request): ValuesOf<typeof dm_ioctl> {
  const targets = Buffer.concat(table.map(encodeTarget));
  const head = dm_ioctl.encode({
    version, data_size: dm_ioctl.size + targets.length, data_start: dm_ioctl.size, target_count: table.length, open_count: 0, flags, event_nr: 0, padding: 0,
    // DM_DEV_CREATE_CMD alone takes both: all others know a device by one of them (__find_device_hash_cell, drivers/md/dm-ioctl.c).
    dev: 0n, name: text(name, 128), uuid: text(uuid, 129), data: Buffer.alloc(7),
  });
  const request = Buffer.concat([head, targets]);
  withOpen(control, "r+", (fd) => addon().mapperIoctl(fd, command, request));
  return dm_ioctl.decode(request);
}

/** With its parameters behind it, on a multiple of eight bytes as the next one has to be. */
function encodeTarget({ start, length, type, params }: Target): Buffer {
  const padded = text(params, Math.ceil((params.length + 1) / 8) * 8);
  const spec = dm_target_spec.encode({ sector_start: BigInt(start), length: BigInt(length), status: 0, next: dm_target_spec.size + padded.length, target_type: text(type, 16) });
  return Buffer.concat([spec, padded]);
}

function text(value: string, length: number): Buffer {
  const made = Buffer.alloc(length);
  made.write(value, "latin1");
  return made;
}

function textOf(field: Buffer): string {
  return field.toString("latin1", 0, field.indexOf(0));
}
