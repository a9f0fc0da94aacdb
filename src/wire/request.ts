// A request as read from /dev/fuse: fuse_in_header, the body of its opcode, names and bytes, extensions.
// The kernel is trusted to be the kernel, yet every length is checked: a datagram may have been cut on its way.

import { FsError } from "../base/errors";
import type { Fields, Values } from "../base/struct";
import { narrow } from "../base/units";
import { opcodeName, type Opcode } from "./opcodes";
import { fuse_in_header } from "./structs";

/** fuse_in_header, narrowed. */
export type RequestHeader = Readonly<ReturnType<typeof decodeHeader>>;

export type WireErrorKind = "short_header" | "length_mismatch" | "short_body" | "unterminated_name" | "empty_name" | "extra_bytes";

/** A request that does not have the form of its opcode. */
export class WireError extends FsError {
  override name = "WireError";
  readonly kind: WireErrorKind;

  constructor(kind: WireErrorKind, message: string) {
    super("EINVAL", message);
    this.kind = kind;
  }
}

export const inHeaderBytes = fuse_in_header.size;
const at = fuse_in_header.offsets;
const resendBitOfHigh = 0x80000000;

export function decodeHeader(raw: Buffer) {
  if (raw.length < inHeaderBytes) {
    throw new WireError("short_header", `cannot decode a request: ${raw.length} bytes, a header has ${inHeaderBytes}`);
  }
  const length = raw.readUInt32LE(at.len);
  const opcode = raw.readUInt32LE(at.opcode);
  if (length !== raw.length) {
    throw new WireError("length_mismatch", `cannot decode ${opcodeName(opcode)}: len is ${length}, ${raw.length} bytes came`);
  }
  const uniqueHigh = raw.readUInt32LE(at.unique + 4);
  return {
    opcode,
    /** names the request for the session: bit 63 (FUSE_UNIQUE_RESEND) is cleared */
    unique: (BigInt(uniqueHigh & 0x7fffffff) << 32n) | BigInt(raw.readUInt32LE(at.unique)),
    /** the kernel sent it before; it may have been carried out */
    resent: uniqueHigh >= resendBitOfHigh,
    nodeid: narrow(raw.readBigUInt64LE(at.nodeid), "fuse_in_header.nodeid"),
    uid: raw.readUInt32LE(at.uid),
    gid: raw.readUInt32LE(at.gid),
    pid: raw.readUInt32LE(at.pid),
  };
}

/** A decoded request. Names are raw bytes as latin1; `bytes` is a view of the request, not a copy. */
export interface Request<F extends Fields = Fields> {
  readonly header: RequestHeader;
  readonly body: Values<F>;
  /** the first name, "" where the opcode has none */
  readonly name: string;
  /** the second name: symlink's target, rename's new name */
  readonly name2: string;
  readonly bytes: Buffer;
}

const noBytes = Buffer.alloc(0);
const noBody = Object.freeze({});

/** Decodes what follows the header by the opcode table. Throws WireError. */
export function decodeRequest<F extends Fields>(opcode: Opcode<F, any>, raw: Buffer, header = decodeHeader(raw)): Request<F> {
  const end = raw.length - 8 * raw.readUInt16LE(at.total_extlen);
  let from = inHeaderBytes;
  let body = noBody as Values<F>;
  if (opcode.body !== undefined) {
    body = decodeBody(opcode, raw, end);
    from = Math.min(end, from + opcode.body.size);
  }
  if (opcode.trailing === "none") return { header, body, name: "", name2: "", bytes: noBytes };
  if (opcode.trailing === "bytes") return { header, body, name: "", name2: "", bytes: raw.subarray(from, end) };
  const nameEnd = endOfName(opcode, raw, from, end);
  const name = raw.toString("latin1", from, nameEnd);
  from = nameEnd + 1;
  if (opcode.trailing === "name-bytes") return { header, body, name, name2: "", bytes: raw.subarray(from, end) };
  let name2 = "";
  if (opcode.trailing === "two-names") {
    const name2End = endOfName(opcode, raw, from, end);
    name2 = raw.toString("latin1", from, name2End);
    from = name2End + 1;
  }
  if (from !== end) throw new WireError("extra_bytes", `cannot decode ${opcode.name}: ${end - from} bytes after the names`);
  return { header, body, name, name2, bytes: noBytes };
}

function decodeBody<F extends Fields>(opcode: Opcode<F, any>, raw: Buffer, end: number): Values<F> {
  const body = opcode.body!;
  const present = end - inHeaderBytes;
  if (present >= body.size) return body.decode(raw, inHeaderBytes);
  if (present < opcode.bodyBytesMin) {
    const bytes = Math.max(0, present);
    throw new WireError("short_body", `cannot decode ${opcode.name}: ${bytes} bytes of ${body.name}, it has ${opcode.bodyBytesMin}`);
  }
  const padded = Buffer.alloc(body.size);
  raw.copy(padded, 0, inHeaderBytes, end);
  return body.decode(padded);
}

function endOfName(opcode: Opcode<any, any>, raw: Buffer, from: number, end: number): number {
  const nul = raw.indexOf(0, from);
  if (nul < 0 || nul >= end) throw new WireError("unterminated_name", `cannot decode ${opcode.name}: no NUL ends the name`);
  if (nul === from) throw new WireError("empty_name", `cannot decode ${opcode.name}: the name is empty`);
  return nul;
}

/** The other side of decodeRequest: what the kernel would send. For the fuse-native engine and the tests. */
export function encodeRequest<F extends Fields>(
  opcode: Opcode<F, any>,
  header: { unique: bigint; resent?: boolean; nodeid: number; uid?: number; gid?: number; pid?: number },
  body?: Values<F>,
  trailing: { name?: string; name2?: string; bytes?: Uint8Array } = {},
): Buffer {
  const names = [trailing.name, trailing.name2].filter((name) => name !== undefined);
  const parts = [
    opcode.body && body ? opcode.body.encode(body) : noBytes,
    ...names.map((name) => Buffer.from(`${name}\0`, "latin1")),
    trailing.bytes ?? noBytes,
  ];
  const length = parts.reduce((sum, part) => sum + part.length, inHeaderBytes);
  const head = fuse_in_header.encode({
    len: length, opcode: opcode.code, unique: header.unique | (header.resent ? 1n << 63n : 0n), nodeid: BigInt(header.nodeid),
    uid: header.uid ?? 0, gid: header.gid ?? 0, pid: header.pid ?? 0, total_extlen: 0, padding: 0,
  });
  return Buffer.concat([head, ...parts], length);
}
