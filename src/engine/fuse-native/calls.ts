// The requests that the kernel would send, made here: a path operation of libfuse becomes one or more of them, and the
// same handlers answer as on the native engine.

import { errnoName } from "../../base/errno";
import type { Fields, Values } from "../../base/struct";
import { narrow } from "../../base/units";
import { FUSE_ROOT_ID } from "../../wire/abi";
import { opcodes, type Opcode } from "../../wire/opcodes";
import { outHeaderBytes } from "../../wire/reply";
import { encodeRequest } from "../../wire/request";

/** Takes a raw request and gives the raw reply (ops/table.ts). */
export type Dispatch = (raw: Buffer) => Buffer | undefined | Promise<Buffer | undefined>;

/** A request that was answered with an errno. */
export class CallError extends Error {
  override name = "CallError";
  readonly errno: number;

  constructor(errno: number, request: string) {
    super(`${request}: ${errnoName(errno)}`);
    this.errno = errno;
  }
}

type Trailing = Parameters<typeof encodeRequest>[3];

export class Calls {
  readonly #dispatch: Dispatch;
  #unique = 0n;

  constructor(dispatch: Dispatch) {
    this.#dispatch = dispatch;
  }

  /** The body of the reply. Throws CallError. */
  async bytes<F extends Fields>(opcode: Opcode<F, any>, nodeid: number, body?: Values<F>, trailing?: Trailing): Promise<Buffer> {
    // The kernel's own uniques are even, and odd ones are interrupts (fuse_get_unique, fs/fuse/dev.c).
    this.#unique += 2n;
    const raw = encodeRequest(opcode, { unique: this.#unique, nodeid, pid: process.pid }, body, trailing);
    const reply = await this.#dispatch(raw);
    if (reply === undefined) return Buffer.alloc(0);
    const error = -reply.readInt32LE(4);
    if (error !== 0) throw new CallError(error, opcode.name);
    return reply.subarray(outHeaderBytes);
  }

  /** The reply's struct. Throws CallError. */
  async call<F extends Fields, R extends Fields>(
    opcode: Opcode<F, R>, nodeid: number, body?: Values<F>, trailing?: Trailing,
  ): Promise<Values<R>> {
    const reply = await this.bytes(opcode, nodeid, body, trailing);
    return typeof opcode.reply === "object" ? opcode.reply.decode(reply) : ({} as Values<R>);
  }

  /** The inode that a path names. Throws CallError ENOENT, ENOTDIR … */
  async walk(path: string): Promise<number> {
    let nodeid: number = FUSE_ROOT_ID;
    for (const part of path.split("/")) {
      if (part !== "") nodeid = await this.#lookup(nodeid, nameOf(part));
    }
    return nodeid;
  }

  /** The inode of the directory that holds the path's last name, and that name as raw bytes in latin1. */
  async parent(path: string): Promise<{ nodeid: number; name: string }> {
    const cut = path.lastIndexOf("/");
    return { nodeid: await this.walk(path.slice(0, cut)), name: nameOf(path.slice(cut + 1)) };
  }

  async #lookup(parent: number, name: string): Promise<number> {
    const entry = await this.call(opcodes.lookup, parent, {}, { name });
    const nodeid = narrow(entry.nodeid, "fuse_entry_out.nodeid");
    if (nodeid === 0) throw new CallError(2, opcodes.lookup.name);
    return nodeid;
  }
}

const replacement = "\ufffd";

/**
 * The bytes of a name, as latin1. fuse-native decodes paths as UTF-8 (napi_create_string_utf8), and what is not UTF-8
 * arrives as U+FFFD: such a name is refused, since another file would answer to it.
 */
export function nameOf(part: string): string {
  if (part.includes(replacement)) throw new CallError(22, "a name that is not UTF-8");
  return Buffer.from(part, "utf8").toString("latin1");
}
