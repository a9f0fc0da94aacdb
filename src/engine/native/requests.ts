// FUSE requests that the data plane relays, each answered once under the name that the kernel knows it by now.

import { messageOf } from "../../base/errors";
import { debugLog, logLine } from "../../base/log";
import type { PendingReply } from "../../dataplane/replies";
import { FUSE_UNIQUE_RESEND } from "../../wire/abi";
import { opcodes } from "../../wire/opcodes";
import { answeredOf, emptyReply, errorReply } from "../../wire/reply";

const log = debugLog("engine");

const opcodeAt = 4;
const uniqueAt = 8;

export type RawReply = Buffer | undefined;

export interface RequestLoopParts {
  /** ops/table.ts: a raw request in, a whole raw reply out; undefined: none is due. */
  readonly dispatch: (raw: Buffer) => RawReply | Promise<RawReply>;
  /** Writes the reply when its turn comes (OrderedReplies.send). */
  readonly reply: (reply: PendingReply) => void;
  /** The data plane sees this one: it closes the device at it. */
  readonly replyToDestroy: (raw: Buffer) => void;
  /** Ends the volume; the reply to FUSE_DESTROY follows, and nothing after it. */
  readonly destroy: () => void;
  /** A reply to this opcode has been sent. */
  readonly answered: (opcode: number) => void;
  /** From its receipt until its reply was written. */
  readonly took: (ns: number) => void;
}

// A reply that the kernel did not take belongs to a request that it sends again: the copy gets it, and is not carried
// out. Longer replies are those of reading operations, which may be carried out twice.
const keptReplyBytes = 1024;
const keptReplies = 1024;
const keptNames = 16384;

/**
 * Each request is carried out once as long as this control plane lives, however often the kernel sends it: a copy that
 * was carried out after the program had its answer could undo what the program did next.
 */
export class RequestLoop {
  readonly #parts: RequestLoopParts;
  /** carried out or waiting for its turn, by unique without the resend bit -> unique as last sent by the kernel */
  readonly #pending = new Map<bigint, bigint>();
  readonly #undelivered = new Map<bigint, Buffer>();
  /** answered under a name with the resend bit: further copies may be on their way */
  readonly #answered = new Set<bigint>();

  constructor(parts: RequestLoopParts) {
    this.#parts = parts;
  }

  get pending(): number {
    return this.#pending.size;
  }

  receive(raw: Buffer): void {
    const opcode = raw.readUInt32LE(opcodeAt);
    const unique = raw.readBigUInt64LE(uniqueAt);
    const id = unique & ~FUSE_UNIQUE_RESEND;
    if (this.#pending.has(id)) return void this.#pending.set(id, unique);
    if (unique !== id && this.#isCopy(id, unique, opcode)) return;
    if (opcode === opcodes.destroy.code) return this.#destroy(unique);
    this.#pending.set(id, unique);
    const receivedMs = performance.now();
    let reply: RawReply | Promise<RawReply>;
    try {
      reply = this.#parts.dispatch(raw);
    } catch (error) {
      reply = bug(error, opcode, unique);
    }
    if (!(reply instanceof Promise)) return this.#send(id, reply, opcode, receivedMs);
    void reply.catch((error: unknown) => bug(error, opcode, unique)).then((made) => this.#send(id, made, opcode, receivedMs));
  }

  // True for a copy of a request that was carried out.
  #isCopy(id: bigint, unique: bigint, opcode: number): boolean {
    if (this.#answered.has(id)) return true;
    const reply = this.#undelivered.get(id);
    if (reply === undefined) return false;
    this.#undelivered.delete(id);
    this.#pending.set(id, unique);
    this.#send(id, reply, opcode, performance.now());
    return true;
  }

  #send(id: bigint, reply: RawReply, opcode: number, receivedMs: number): void {
    if (reply === undefined) return void this.#pending.delete(id);
    this.#parts.reply({
      make: () => {
        reply.writeBigUInt64LE(this.#pending.get(id)!, uniqueAt);
        return reply;
      },
      written: (delivered) => {
        this.#written(id, reply, delivered);
        this.#parts.took((performance.now() - receivedMs) * 1e6);
      },
    });
    this.#parts.answered(opcode);
  }

  #written(id: bigint, reply: Buffer, delivered: boolean): void {
    const resent = this.#pending.get(id) !== id;
    this.#pending.delete(id);
    if (delivered && resent) {
      this.#answered.add(id);
      dropOldest(this.#answered, keptNames);
    } else if (!delivered && reply.length <= keptReplyBytes) {
      this.#undelivered.set(id, reply);
      dropOldest(this.#undelivered, keptReplies);
    }
  }

  #destroy(unique: bigint): void {
    let reply = emptyReply(answeredOf(unique));
    try {
      this.#parts.destroy();
    } catch (thrown) {
      logLine(`cannot close the volume in order: ${messageOf(thrown)}; its journal holds everything, the next mount replays it`);
      reply = errorReply(answeredOf(unique), "EIO");
    }
    this.#parts.replyToDestroy(reply);
  }
}

/** Maps and sets keep the order of insertion. */
function dropOldest(kept: Map<bigint, unknown> | Set<bigint>, most: number): void {
  if (kept.size > most) kept.delete(kept.keys().next().value!);
}

// Handlers turn what the world does into errno replies; what arrives here is a bug, and the program must not hang on it.
function bug(error: unknown, opcode: number, unique: bigint): Buffer {
  log("request %O", error);
  logLine(`cannot carry out a request with opcode ${opcode}: ${messageOf(error)}`);
  return errorReply(answeredOf(unique), "EIO");
}
