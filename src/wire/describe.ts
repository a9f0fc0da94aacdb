// Debug lines of requests and replies, from the same table that decodes them.

import { errnoName } from "../base/errno";
import { messageOf } from "../base/errors";
import { opcodeName, opcodeOf } from "./opcodes";
import { decodeHeader, decodeRequest } from "./request";
import { outHeaderBytes } from "./reply";

/** `FUSE_MKDIR unique=6 node=1 uid=0 pid=99 fuse_mkdir_in mode=511 umask=18 "d"` */
export function describeRequest(raw: Buffer): string {
  try {
    const header = decodeHeader(raw);
    const unique = `unique=${header.unique}${header.resent ? " resent" : ""}`;
    const head = `${opcodeName(header.opcode)} ${unique} node=${header.nodeid} uid=${header.uid} pid=${header.pid}`;
    const opcode = opcodeOf(header.opcode);
    if (opcode === undefined) return head;
    const request = decodeRequest(opcode, raw, header);
    const parts = [head];
    if (opcode.body !== undefined) parts.push(`${opcode.body.name} ${fieldsText(request.body)}`);
    for (const name of [request.name, request.name2]) if (name !== "") parts.push(JSON.stringify(name));
    if (request.bytes.length > 0) parts.push(`+${request.bytes.length} bytes`);
    return parts.join(" ");
  } catch (error) {
    return messageOf(error);
  }
}

/** `reply unique=6 ENOENT`, `reply unique=6 fuse_bmap_out block=7`; `code` is the opcode of its request. */
export function describeReply(code: number, raw: Buffer): string {
  if (raw.length < outHeaderBytes) return `reply of ${raw.length} bytes: no header`;
  const unique = BigInt.asUintN(63, raw.readBigUInt64LE(8));
  const error = raw.readInt32LE(4);
  const head = `reply unique=${unique}`;
  if (error !== 0) return `${head} ${errnoName(-error)}`;
  const reply = opcodeOf(code)?.reply;
  const bodyBytes = raw.length - outHeaderBytes;
  if (typeof reply === "object" && bodyBytes === reply.size) {
    return `${head} ${reply.name} ${fieldsText(reply.decode(raw, outHeaderBytes))}`;
  }
  return bodyBytes === 0 ? head : `${head} +${bodyBytes} bytes`;
}

function fieldsText(values: object): string {
  const named = Object.entries(values).filter(([key]) => !key.startsWith("unused"));
  return named.map(([key, value]) => `${key}=${valueText(value)}`).join(" ");
}

function valueText(value: unknown): string {
  if (Buffer.isBuffer(value)) return value.toString("hex");
  return typeof value === "object" && value !== null ? `{${fieldsText(value)}}` : String(value);
}
