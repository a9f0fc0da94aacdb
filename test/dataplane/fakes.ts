// A data plane of a few lines: what the control plane sends is kept, what a test says is received.

import { AsksInFlight } from "#src/dataplane/asks";
import { Channel } from "#src/dataplane/channel";
import type { SocketCalls } from "#src/dataplane/channel";
import { touchedTimes } from "#src/dataplane/counters";
import { SharedHandleTable } from "#src/dataplane/handletable";
import { WriteRing } from "#src/dataplane/ring";
import { DataPlaneLink } from "#src/dataplane/link";
import type { Mapped, MappingPort } from "#src/dataplane/link";
import type { AskedRange } from "#src/dataplane/port";
import { InstalledMaps } from "#src/dataplane/maps";
import {
  AskMessage, CommitMessage, InstallMessage, MessageHeader, messageBytesMax, messageType, ResultMessage,
} from "#src/dataplane/messages";
import type { MessageType } from "#src/dataplane/messages";
import { NativeDataPort } from "#src/dataplane/nativeport";
import type { MappedInode } from "#src/dataplane/nativeport";
import { OrderedReplies } from "#src/dataplane/replies";
import { makeSession } from "#src/dataplane/session";
import type { Session } from "#src/dataplane/session";
import type { Change, Extent, ExtentState } from "#src/volume/changes";

export class FakeSocket implements SocketCalls {
  readonly sent: Buffer[] = [];
  readonly batches: number[] = [];
  #incoming: Buffer[] = [];
  #readable: (() => void) | undefined;
  gone = false;

  receive(buffer: Buffer, lengths: Uint32Array): number {
    if (this.gone) return -1;
    const taken = this.#incoming.splice(0, lengths.length);
    taken.forEach((message, index) => {
      message.copy(buffer, index * messageBytesMax);
      lengths[index] = message.length;
    });
    return taken.length;
  }

  send(messages: readonly Uint8Array[]): void {
    this.batches.push(messages.length);
    for (const message of messages) this.sent.push(Buffer.from(message));
  }

  watch(readable: () => void): void {
    this.#readable = readable;
  }

  unwatch(): void {
    this.#readable = undefined;
  }

  /** The data plane sends these, and the control plane finds them at once. */
  deliver(...messages: Buffer[]): void {
    this.#incoming.push(...messages);
    this.#readable?.();
  }

  hangUp(): void {
    this.gone = true;
    this.#readable?.();
  }

  /** Types of what was sent since the last call. */
  take(): Buffer[] {
    return this.sent.splice(0);
  }

  takeTypes(): number[] {
    return this.take().map((message) => message.readUInt32LE(0));
  }
}

export function extent(filePage: number, devicePage: number, count: number, state: ExtentState = "written"): Extent {
  return { filePage, devicePage, count, state };
}

export interface FakeInode extends MappedInode {
  size: number;
  mode: number;
  extents: Extent[];
  xattrs: Set<string>;
}

export function file(extents: Extent[], size: number): FakeInode {
  return { mode: 0o100600, size, extents, xattrs: new Set() };
}

/** A mapping that answers from the fake inodes and keeps what it was told. */
export class FakeMapping implements MappingPort<AskedRange> {
  readonly log: string[] = [];
  readonly #inodes: Map<number, FakeInode>;
  delayed: Promise<void> | undefined;
  commitError: Error | undefined;
  /** as FileSystem.commit calls it, when the write changed extents or size */
  noteChanges: ((changes: readonly Change[]) => void) | undefined;

  constructor(inodes: Map<number, FakeInode>) {
    this.#inodes = inodes;
  }

  ask(range: AskedRange): Mapped<AskedRange> | Promise<Mapped<AskedRange>> {
    const inode = this.#inodes.get(range.ino);
    if (!inode) return { error: Object.assign(new Error("gone"), { code: "ENOENT" }) };
    const mapped = { size: inode.size, extents: [...inode.extents], inFlight: range };
    return this.delayed ? this.delayed.then(() => mapped) : mapped;
  }

  commitWrite(write: AskedRange, outcome: { error: number }): void {
    if (this.commitError) throw this.commitError;
    this.log.push(`commit ${write.ino} ${outcome.error}`);
    const inode = this.#inodes.get(write.ino)!;
    if (inode.extents.every(({ state }) => state === "written") && write.offset + write.length <= inode.size) return;
    this.noteChanges?.([{ kind: "set-extents", ino: write.ino, filePage: 0, count: 1, extents: [] }]);
  }

  dropAll(): void {
    this.log.push("drop");
  }
}

export function message(type: MessageType, tag = 0n): Buffer {
  return MessageHeader.encode({ type, length: MessageHeader.size, tag });
}

export function result(type: MessageType, tag: bigint, error = 0): Buffer {
  return ResultMessage.encode({ header: { type, length: ResultMessage.size, tag }, error, padding: 0 });
}

export function ask(tag: bigint, ino: number, offset: number, length: number, flags = 0): Buffer {
  return AskMessage.encode({
    header: { type: messageType.kAsk, length: AskMessage.size, tag },
    ino: BigInt(ino), offset: BigInt(offset), unique: 100n + tag, length, flags,
  });
}

export function commit(tag: bigint, ino: number, error = 0): Buffer {
  return CommitMessage.encode({
    header: { type: messageType.kCommit, length: CommitMessage.size, tag },
    ino: BigInt(ino), offset: 0n, time_ns: 5n, length: 4096, error,
  });
}

export function typeOf(sent: Buffer): number {
  return sent.readUInt32LE(0);
}

export function tagOf(sent: Buffer): bigint {
  return sent.readBigUInt64LE(8);
}

export function installOf(sent: Buffer): { ino: bigint; flags: number; total: number } {
  return InstallMessage.decode(sent);
}

interface Remains {
  readonly session: Session;
  readonly inodes: Map<number, FakeInode>;
}

/** Everything of src/dataplane, wired as the engine wires it, over a fake socket; `remains` of a control plane that died. */
export function makePlane(remains?: Remains, notify?: (raw: Buffer) => Promise<void>) {
  const session = remains?.session ?? makeSession();
  new Uint32Array(session.buffer)[11] = 1; // control_up
  const socket = new FakeSocket();
  const channel = new Channel(socket);
  const inodes = remains?.inodes ?? new Map<number, FakeInode>();
  const asks = new AsksInFlight<AskedRange>();
  const maps = new InstalledMaps(channel);
  const handles = new SharedHandleTable(session);
  const notified: Buffer[] = [];
  const port = new NativeDataPort({
    sink: channel, maps, asks, handles, takeTouched: touchedTimes(session),
    inode: (ino) => inodes.get(ino), ring: new WriteRing(session), notify: notify ?? (async (raw) => void notified.push(raw)),
  });
  const mapping = new FakeMapping(inodes);
  mapping.noteChanges = (changes) => port.noteChanges(changes);
  const seen = { ringHalf: 0, requests: [] as Buffer[], direct: [] as Uint8Array[], ready: 0, closed: 0 };
  const replies = new OrderedReplies(maps, (raw) => seen.direct.push(raw) > 0);
  const link = new DataPlaneLink({
    session, channel, asks, maps, port, mapping,
    request: (raw) => void seen.requests.push(raw), ready: () => void (seen.ready += 1), closed: () => void (seen.closed += 1),
    replies, ringHalf: () => void (seen.ringHalf += 1),
  });
  return { session, socket, channel, inodes, asks, maps, handles, port, mapping, link, replies, seen, notified };
}

/** The same, past the handshake. */
export function startedPlane() {
  const plane = makePlane();
  plane.link.start();
  plane.socket.deliver(message(messageType.kDataReady));
  plane.socket.take();
  plane.mapping.log.length = 0;
  return plane;
}
