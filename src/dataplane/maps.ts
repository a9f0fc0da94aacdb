// Which inodes have their extent map in the data plane, and when it is worth sending one.

import { debugLog } from "../base/log";
import type { MessageSink } from "./channel";
import { installMessages, type MapToInstall } from "./entries";
import { mapFlags, messageType, RevokeMessage } from "./messages";

const log = debugLog("dataplane");

/** A map of so few extents is one small message: sent at the first ask that it would have answered. */
const smallMap = 64;

/** An ask for an inode whose map is there means that the data plane gave the map up, or that the ask crossed it. */
const crossingAsks = 8;

interface Installed {
  readonly serial: bigint;
  size: number;
  readonly flags: number;
}

interface Revocation {
  readonly ino: number;
  readonly done: () => void;
  readonly over: Promise<void>;
}

export class InstalledMaps {
  /** Called when a granted map is used by no request any more, before whoever waits for that goes on. */
  grantGone: (ino: number) => void = () => undefined;
  readonly #sink: MessageSink;
  /** Granted maps that a request may still use, by inode: the serial of their install. */
  readonly #granted = new Map<number, bigint>();
  readonly #installed = new Map<number, Installed>();
  readonly #revocations = new Map<bigint, Revocation>();
  readonly #asks = new Map<number, number>();
  readonly #unacknowledged = new Set<bigint>();
  readonly #awaited = new Map<bigint, (installed: boolean) => void>();
  #serial = 0n;

  constructor(sink: MessageSink) {
    this.#sink = sink;
  }

  has(ino: number): boolean {
    return this.#installed.has(ino);
  }

  /** True until no request writes under a granted map of `ino` any more. */
  isGranted(ino: number): boolean {
    return this.#granted.has(ino);
  }

  /** The data plane has made the file of a granted map longer, and the volume knows it. */
  noteSize(ino: number, size: number): void {
    const map = this.#installed.get(ino);
    if (map !== undefined) map.size = size;
  }

  /** The serial of the last install or revoke that was sent. */
  get lastSent(): bigint {
    return this.#serial;
  }

  /** True when no request can meet a map any more that an install or a revoke up to `serial` took away. */
  carriedOut(serial: bigint): boolean {
    if (this.#unacknowledged.size === 0) return true;
    const [oldest] = this.#unacknowledged; // a Set keeps the order of insertion
    return oldest! > serial;
  }

  /** True while the data plane may hold a map of `ino`, or still use one that was revoked. */
  inUse(ino: number): boolean {
    if (this.#installed.has(ino)) return true;
    for (const revocation of this.#revocations.values()) if (revocation.ino === ino) return true;
    return false;
  }

  /**
   * Counts an ask that a map would have answered. True when the map is worth its bytes: it is small, or asks since the
   * last change of its extents have cost as much as sending it.
   */
  worthInstalling(ino: number, extents: number): boolean {
    const asks = (this.#asks.get(ino) ?? 0) + 1;
    this.#asks.set(ino, asks);
    const threshold = extents <= smallMap ? 0 : extents / 64;
    return asks > threshold + (this.#installed.has(ino) ? crossingAsks : 0);
  }

  /** True when the map that is there says something else about the size or about privileges to take away. */
  differs(ino: number, size: number, plain: number): boolean {
    const map = this.#installed.get(ino);
    return map !== undefined && (map.size !== size || (map.flags & mapFlags.plain) !== plain);
  }

  install(map: MapToInstall): void {
    this.#serial += 1n;
    this.#installed.set(map.ino, { serial: this.#serial, size: map.size, flags: map.flags });
    this.#asks.delete(map.ino);
    this.#unacknowledged.add(this.#serial);
    if ((map.flags & mapFlags.granted) !== 0) this.#granted.set(map.ino, this.#serial);
    for (const message of installMessages(this.#serial, map)) this.#sink.send(message);
    log("install ino %d flags %d", map.ino, map.flags);
  }

  /** Resolves when the data plane has taken the map that was sent last, or has died; false: it has no room. */
  whenInstalled(ino: number): Promise<boolean> {
    const serial = this.#installed.get(ino)?.serial;
    if (serial === undefined || !this.#unacknowledged.has(serial)) return Promise.resolve(serial !== undefined);
    return new Promise((resolve) => this.#awaited.set(serial, resolve));
  }

  /** kInstalled. Returns the inode when a pinned map found no room: the caller says so. */
  installed(serial: bigint, error: number): number | undefined {
    this.#unacknowledged.delete(serial);
    this.#acknowledge(serial, error === 0);
    if (error === 0) return undefined;
    for (const [ino, map] of this.#installed) {
      if (map.serial !== serial) continue;
      this.#installed.delete(ino);
      this.#endGrant(ino, serial);
      this.#asks.set(ino, Number.MIN_SAFE_INTEGER); // not again before its extents change
      return map.flags & mapFlags.pinned ? ino : undefined;
    }
    return undefined;
  }

  /** The extents or the size of `ino` changed: the asks counted so far say nothing about the new map. */
  changed(ino: number): void {
    this.#asks.delete(ino);
  }

  /** Resolves when no request uses a map of `ino` that was there before the call; undefined when none was. */
  revoke(ino: number, force = false): Promise<void> | undefined {
    this.#asks.delete(ino);
    if (this.#installed.delete(ino) || force) return this.#send(ino);
    const pending = [...this.#revocations.values()].filter((revocation) => revocation.ino === ino);
    return pending.at(-1)?.over;
  }

  /** Requests that began before the revoke may still use its map. */
  forgotten(serial: bigint): void {
    this.#unacknowledged.delete(serial);
  }

  revoked(serial: bigint): void {
    const revocation = this.#revocations.get(serial);
    this.#unacknowledged.delete(serial);
    this.#revocations.delete(serial);
    if (revocation !== undefined) this.#endGrant(revocation.ino, serial);
    revocation?.done();
  }

  /** A new data plane holds no map. */
  forgetAll(): void {
    this.#installed.clear();
    this.#asks.clear();
    for (const serial of [...this.#revocations.keys()]) this.revoked(serial);
    this.#unacknowledged.clear();
    for (const ino of [...this.#granted.keys()]) this.#endGrant(ino, this.#serial);
    for (const serial of [...this.#awaited.keys()]) this.#acknowledge(serial, true); // sent anew to the next one
  }

  /** Of a grant that was given before `serial`: a later one is not meant. */
  #endGrant(ino: number, serial: bigint): void {
    const granted = this.#granted.get(ino);
    if (granted === undefined || granted > serial) return;
    this.#granted.delete(ino);
    this.grantGone(ino);
  }

  #acknowledge(serial: bigint, installed: boolean): void {
    const settle = this.#awaited.get(serial);
    this.#awaited.delete(serial);
    settle?.(installed);
  }

  #send(ino: number): Promise<void> {
    this.#serial += 1n;
    let done!: () => void;
    const over = new Promise<void>((resolve) => (done = resolve));
    this.#revocations.set(this.#serial, { ino, done, over });
    this.#unacknowledged.add(this.#serial);
    this.#sink.send(RevokeMessage.encode({
      header: { type: messageType.kRevoke, length: RevokeMessage.size, tag: this.#serial }, ino: BigInt(ino),
    }));
    log("revoke ino %d", ino);
    return over;
  }
}
