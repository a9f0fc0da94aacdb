// FUSE requests that the data plane relays, each answered once under the name that the kernel knows it by now.

import { messageOf } from "../../base/errors";
import { errno } from "../../base/errno";
import { debugLog, logLine } from "../../base/log";

const log = debugLog("engine");

// FUSE_UNIQUE_RESEND: set by the kernel on a request that it sends again, in the request that it waits for as well
// (fuse_chan_resend, fs/fuse/dev.c): a reply without it finds nobody.
const resendBit = 1n << 63n;

export const FUSE_INIT = 26;
export const FUSE_DESTROY = 38;

const opcodeAt = 4;
const uniqueAt = 8;
const outHeaderBytes = 16;

export type RawReply = Buffer | undefined;

export interface RequestLoopParts {
  /** ops/table.ts: a raw request in, a whole raw reply out; undefined: none is due. */
  readonly dispatch: (raw: Buffer) => RawReply | Promise<RawReply>;
  readonly reply: (raw: Buffer) => void;
  /** as `reply`, and the data plane sees it: it closes the device at this one */
  readonly replyToDestroy: (raw: Buffer) => void;
  /** Ends the volume; the reply to FUSE_DESTROY follows, and nothing after it. */
  readonly destroy: () => void;
  /** A reply to this opcode has been sent. */
  readonly answered: (opcode: number) => void;
}

export class RequestLoop {
  readonly #parts: RequestLoopParts;
  /** being carried out, by unique without the resend bit -> unique as last sent by the kernel */
  readonly #pending = new Map<bigint, bigint>();

  constructor(parts: RequestLoopParts) {
    this.#parts = parts;
  }

  get pending(): number {
    return this.#pending.size;
  }

  receive(raw: Buffer): void {
    const opcode = raw.readUInt32LE(opcodeAt);
    const unique = raw.readBigUInt64LE(uniqueAt);
    const id = unique & ~resendBit;
    if (this.#pending.has(id)) return void this.#pending.set(id, unique);
    if (opcode === FUSE_DESTROY) return this.#destroy(unique);
    let reply: RawReply | Promise<RawReply>;
    try {
      reply = this.#parts.dispatch(raw);
    } catch (error) {
      reply = bug(error, opcode, unique);
    }
    if (!(reply instanceof Promise)) return this.#send(reply, opcode);
    this.#pending.set(id, unique);
    void reply.catch((error: unknown) => bug(error, opcode, unique)).then((made) => this.#finish(id, made, opcode));
  }

  #finish(id: bigint, reply: RawReply, opcode: number): void {
    const unique = this.#pending.get(id)!;
    this.#pending.delete(id);
    reply?.writeBigUInt64LE(unique, uniqueAt);
    this.#send(reply, opcode);
  }

  #send(reply: RawReply, opcode: number): void {
    if (reply === undefined) return;
    this.#parts.reply(reply);
    this.#parts.answered(opcode);
  }

  #destroy(unique: bigint): void {
    let error = 0;
    try {
      this.#parts.destroy();
    } catch (thrown) {
      logLine(`cannot close the volume in order: ${messageOf(thrown)}; its journal holds everything, the next mount replays it`);
      error = -errno.EIO;
    }
    this.#parts.replyToDestroy(headerOnly(unique, error));
  }
}

/** fuse_out_header alone. */
export function headerOnly(unique: bigint, error: number): Buffer {
  const reply = Buffer.alloc(outHeaderBytes);
  reply.writeUInt32LE(outHeaderBytes, 0);
  reply.writeInt32LE(error, 4);
  reply.writeBigUInt64LE(unique, uniqueAt);
  return reply;
}

// Handlers turn what the world does into errno replies; what arrives here is a bug, and the program must not hang on it.
function bug(error: unknown, opcode: number, unique: bigint): Buffer {
  log("request %O", error);
  logLine(`cannot carry out a request with opcode ${opcode}: ${messageOf(error)}`);
  return headerOnly(unique, -errno.EIO);
}
