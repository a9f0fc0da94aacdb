// The conversation with the data plane: who is there, requests to relay, asks to answer, acknowledgements to pass on.

import { errnoOf, messageOf } from "../base/errors";
import { debugLog, logLine } from "../base/log";
import { fileBytes, narrow } from "../base/units";
import type { Extent } from "../volume/changes";
import type { Ask, AsksInFlight } from "./asks";
import type { Channel } from "./channel";
import { answerMessage } from "./entries";
import type { InstalledMaps } from "./maps";
import {
  AskMessage, askFlags, CommitMessage, headerOf, MessageHeader, messageType, plainMessage, replyMessage, resultMessage,
  ResultMessage,
} from "./messages";
import type { NativeDataPort } from "./nativeport";
import type { AskedRange } from "./port";
import type { OrderedReplies } from "./replies";
import type { Session } from "./session";

const log = debugLog("dataplane");

export type Mapped<InFlight> =
  | { readonly error: Error }
  | { readonly error?: undefined; readonly size: number; readonly extents: readonly Extent[]; readonly inFlight: InFlight };

/** Decides where bytes lie (blocks/mapping.ts). */
export interface MappingPort<InFlight> {
  ask(range: AskedRange): Mapped<InFlight> | Promise<Mapped<InFlight>>;
  /**
   * `error`: 0 or a negative errno of the device. Answered when the promise, if any, is settled. Throws FsError, or rejects,
   * when the write has failed. What it changes reaches NativeDataPort.noteChanges before it returns: a read after the write
   * must not see the old map.
   */
  commitWrite(inFlight: InFlight, outcome: { error: number; timeNs: bigint }): void | Promise<void>;
  /** Every ask in flight is over and wrote nothing that counts. */
  dropAll(): void;
}

export interface LinkParts<InFlight> {
  readonly session: Session;
  readonly channel: Channel;
  readonly asks: AsksInFlight<InFlight>;
  readonly maps: InstalledMaps;
  readonly port: NativeDataPort;
  readonly replies: OrderedReplies;
  readonly mapping: MappingPort<InFlight>;
  /** The commit ring fills up. */
  readonly ringHalf: () => void;
  /** A raw FUSE request; its reply goes to `replies`. */
  readonly request: (raw: Buffer) => void;
  /** The data plane has taken this control plane's hello (again, when it had to be said again). */
  readonly ready: () => void;
  readonly closed: () => void;
}

export class DataPlaneLink<InFlight> {
  readonly #parts: LinkParts<InFlight>;
  #up = false;

  constructor(parts: LinkParts<InFlight>) {
    this.#parts = parts;
  }

  start(): void {
    this.#parts.channel.start((message) => this.#receive(message), this.#parts.closed);
    this.#hello();
  }

  /** A raw reply through the data plane, which must see it: that to FUSE_DESTROY. */
  relayReply(raw: Uint8Array): void {
    this.#parts.channel.send(replyMessage(raw));
  }

  #hello(): void {
    const generation = BigInt(this.#parts.session.header().control_generation);
    this.#parts.channel.send(plainMessage(messageType.kControlHello, generation));
  }

  #receive(message: Buffer): void {
    const { type, tag } = headerOf(message);
    if (type === messageType.kDataReady) return this.#dataReady();
    if (type === messageType.kDataHello) return this.#dataHello();
    // Until kDataReady everything here was meant for the control plane before this one, and will be sent again.
    if (!this.#up) return;
    switch (type) {
      case messageType.kRequest: return this.#parts.request(Buffer.from(message.subarray(MessageHeader.size)));
      case messageType.kAsk: return this.#ask(message);
      case messageType.kCommit: return this.#commit(message);
      case messageType.kReadDone: return this.#parts.asks.end(tag);
      case messageType.kForgotten: return this.#acknowledged(this.#parts.maps.forgotten(tag));
      case messageType.kRevoked: return this.#acknowledged(this.#parts.maps.revoked(tag));
      case messageType.kZeroed:
      case messageType.kCopied: return this.#parts.port.answered(tag, ResultMessage.decode(message).error);
      case messageType.kRingHalf: return this.#parts.ringHalf();
      case messageType.kInstalled: return this.#installed(tag, ResultMessage.decode(message).error);
      default: logLine(`cannot read a message of type ${type}: data plane and control plane differ in version`);
    }
  }

  // The data plane has dropped its parked requests: after our hello, or to have the kernel send them again for want of
  // room. Its maps stay.
  #dataReady(): void {
    this.#dropAsks();
    if (this.#up) return;
    this.#up = true;
    this.#parts.port.resume();
    this.#parts.ready();
  }

  #dataHello(): void {
    const { data_generation: generation, control_up } = this.#parts.session.header();
    logLine(`data plane started, generation ${generation}`);
    this.#dropAsks();
    this.#parts.port.forgetMaps();
    this.#parts.replies.flush();
    // One that died between our hello and its answer has a successor that waits for a hello of its own.
    if (!this.#up || control_up !== 1) {
      this.#up = false;
      return this.#hello();
    }
    this.#parts.port.resume();
    this.#parts.channel.send(plainMessage(messageType.kDataReadyGo, BigInt(generation)));
  }

  #dropAsks(): void {
    this.#parts.mapping.dropAll();
    this.#parts.asks.dropAll();
  }

  // What waits for the data plane to have taken an install or a revoke.
  #acknowledged<T>(taken: T): T {
    this.#parts.replies.flush();
    return taken;
  }

  #installed(serial: bigint, error: number): void {
    const ino = this.#acknowledged(this.#parts.maps.installed(serial, error));
    if (ino !== undefined) logLine(`cannot install the map of pinned ino ${ino}: no room in the data plane`);
  }

  #ask(message: Buffer): void {
    const decoded = AskMessage.decode(message);
    const write = (decoded.flags & askFlags.write) !== 0;
    const range: AskedRange = {
      ino: narrow(decoded.ino, "ask ino"), offset: fileBytes(decoded.offset), length: decoded.length,
      write, killSuidgid: (decoded.flags & askFlags.killSuidgid) !== 0, sync: (decoded.flags & askFlags.sync) !== 0,
    };
    const ask: Ask<InFlight> = { tag: decoded.header.tag, ino: range.ino, write, allocating: false };
    this.#parts.asks.add(ask);
    let mapped: Mapped<InFlight> | Promise<Mapped<InFlight>>;
    try {
      mapped = this.#parts.mapping.ask(range);
    } catch (error) {
      mapped = { error: error as Error };
    }
    if (!(mapped instanceof Promise)) return this.#answer(ask, range, mapped);
    mapped.then((made) => this.#answer(ask, range, made), (error: Error) => this.#answer(ask, range, { error }));
  }

  #answer(ask: Ask<InFlight>, range: AskedRange, mapped: Mapped<InFlight>): void {
    const { asks, channel, port } = this.#parts;
    if (!asks.holds(ask)) return; // dropped meanwhile, and the mapping with it
    if (mapped.error) {
      log("ask ino %d: %s", ask.ino, messageOf(mapped.error));
      asks.end(ask.tag);
      return channel.send(answerMessage(ask.tag, -errnoOf(mapped.error), 0, []));
    }
    ask.inFlight = mapped.inFlight;
    ask.allocating = range.write && changesMap(range, mapped.size, mapped.extents);
    channel.send(answerMessage(ask.tag, 0, mapped.size, mapped.extents));
    if (!ask.allocating) port.installCached(ask.ino);
  }

  #commit(message: Buffer): void {
    const { asks, channel, mapping } = this.#parts;
    const { header, error, time_ns } = CommitMessage.decode(message);
    const ask = asks.get(header.tag);
    if (ask?.inFlight === undefined) return log("commit of a dropped ask");
    const answer = (result: number): void => {
      if (!asks.holds(ask)) return; // dropped meanwhile
      asks.end(header.tag);
      channel.send(resultMessage(messageType.kCommitted, header.tag, error === 0 ? result : error));
    };
    const failed = (thrown: unknown): void => {
      logLine(`cannot commit a write to ino ${ask.ino}: ${messageOf(thrown)}`);
      answer(-errnoOf(thrown));
    };
    try {
      const told = mapping.commitWrite(ask.inFlight, { error, timeNs: time_ns });
      if (told instanceof Promise) void told.then(() => answer(0), failed);
      else answer(0);
    } catch (thrown) {
      failed(thrown);
    }
  }
}

/** True when a write will change extents or size once it is committed. */
function changesMap(range: AskedRange, size: number, extents: readonly Extent[]): boolean {
  return range.offset + range.length > size || extents.some((extent) => extent.state !== "written");
}
