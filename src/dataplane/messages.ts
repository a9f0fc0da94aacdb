// The messages of native/abi/messages.h, one SOCK_SEQPACKET datagram each. test/native/abi.test.ts compares sizes and
// offsets with those that a native program prints from the header.

import { assert } from "../base/assert";
import { i32, inline, Struct, u32, u64, type ValuesOf } from "../base/struct";

/** A datagram is at most this long: fuse requests other than WRITE, readdir replies, map chunks. */
export const messageBytesMax = 128 * 1024;

export const messageType = {
  kDataHello: 1, kDataReady: 2, kRequest: 3, kAsk: 4, kCommit: 5, kReadDone: 6, kRevoked: 7, kZeroed: 8, kInstalled: 9,
  kRingHalf: 10, kCopied: 11, kForgotten: 12,
  kControlHello: 32, kReply: 33, kAnswer: 34, kCommitted: 35, kInstall: 36, kRevoke: 37, kZero: 38, kDataReadyGo: 39,
  kCopy: 40,
} as const;

export type MessageType = (typeof messageType)[keyof typeof messageType];

export const askFlags = { write: 1, killSuidgid: 2, sync: 4 } as const;
export const mapFlags = { first: 1, last: 2, pinned: 4, swapRw: 8, plain: 16, granted: 32 } as const;

export const MessageHeader = new Struct("MessageHeader", { type: u32, length: u32, tag: u64 });
export type MessageHeader = ValuesOf<typeof MessageHeader>;

// `count` and `state` share a word: 30 bits and 2.
export const ExtentEntry = new Struct("ExtentEntry", { device_page: u64, file_page: u32, count_state: u32 });

const header = inline(MessageHeader);

export const AskMessage = new Struct("AskMessage", {
  header, ino: u64, offset: u64, unique: u64, length: u32, flags: u32,
});
export const AnswerMessage = new Struct("AnswerMessage", { header, size: u64, error: i32, extents: u32 });
export const CommitMessage = new Struct("CommitMessage", {
  header, ino: u64, offset: u64, time_ns: u64, length: u32, error: i32,
});
export const ResultMessage = new Struct("ResultMessage", { header, error: i32, padding: u32 });
export const InstallMessage = new Struct("InstallMessage", {
  header, ino: u64, size: u64, flags: u32, extents: u32, total: u32, room: u32,
});
export const RevokeMessage = new Struct("RevokeMessage", { header, ino: u64 });
export const ZeroMessage = new Struct("ZeroMessage", { header, device_page: u64, from: u32, length: u32 });
export const CopyMessage = new Struct("CopyMessage", { header, from_page: u64, to_page: u64, count: u32, padding: u32 });

/** The header of a datagram, both lengths compared: a torn datagram is a bug, the socket keeps boundaries. */
export function headerOf(message: Buffer): MessageHeader {
  assert(message.length >= MessageHeader.size, "a datagram holds a header");
  const decoded = MessageHeader.decode(message);
  assert(decoded.length === message.length, `datagram of type ${decoded.type} is as long as its header says`);
  return decoded;
}

export function plainMessage(type: MessageType, tag: bigint): Buffer {
  return MessageHeader.encode({ type, length: MessageHeader.size, tag });
}

export function resultMessage(type: MessageType, tag: bigint, error: number): Buffer {
  return ResultMessage.encode({ header: { type, length: ResultMessage.size, tag }, error, padding: 0 });
}

/** kReply: a raw FUSE reply for the kernel. */
export function replyMessage(raw: Uint8Array): Buffer {
  const length = MessageHeader.size + raw.length;
  assert(length <= messageBytesMax, `a reply of ${raw.length} bytes fits a datagram`);
  const message = Buffer.allocUnsafe(length);
  const unique = raw.length >= 16 ? new DataView(raw.buffer, raw.byteOffset, 16).getBigUint64(8, true) : 0n;
  MessageHeader.encodeInto(message, 0, { type: messageType.kReply, length, tag: unique });
  message.set(raw, MessageHeader.size);
  return message;
}
