import { answerMessage, entriesPerChunk, installMessages, splitLong } from "#src/dataplane/entries";
import { headerOf, InstallMessage, mapFlags, messageType, plainMessage, replyMessage } from "#src/dataplane/messages";
import { extent } from "./fakes";

test("answerMessage: golden bytes of one unwritten extent", () => {
  const message = answerMessage(0x1122n, 0, 8192, [extent(3, 0x1_0000_0007, 2, "unwritten")]);
  expect(message.toString("hex")).toBe(
    "22000000" + "30000000" + "2211000000000000" + // type kAnswer, length 48, tag
    "0020000000000000" + "00000000" + "01000000" + // size, error, extents
    "0700000001000000" + "03000000" + "02000040", // device page, file page, count 2 | state 1 << 30
  );
});

test("answerMessage: an error carries no extents", () => {
  const message = answerMessage(1n, -28, 0, []);
  expect(message.length).toBe(32);
  expect(message.readInt32LE(24)).toBe(-28);
});

test("installMessages: chunks stay within 64 KiB and only the ends are marked", () => {
  const extents = Array.from({ length: entriesPerChunk * 2 + 1 }, (_, i) => extent(i * 2, 10 + i * 3, 1));
  const messages = installMessages(7n, { ino: 5, size: 4096, extents, flags: mapFlags.plain });
  const decoded = messages.map((message) => InstallMessage.decode(message));
  expect(messages.every((message) => message.length <= 64 * 1024)).toBe(true);
  expect(decoded.map(({ flags }) => flags)).toEqual([
    mapFlags.plain | mapFlags.first, mapFlags.plain, mapFlags.plain | mapFlags.last,
  ]);
  expect(decoded.map((one) => one.extents)).toEqual([entriesPerChunk, entriesPerChunk, 1]);
  expect(decoded.every(({ total }) => total === extents.length)).toBe(true);
});

test("installMessages: a file without blocks is one chunk, first and last", () => {
  const [only, ...others] = installMessages(1n, { ino: 5, size: 0, extents: [], flags: 0 });
  expect(others).toEqual([]);
  expect(InstallMessage.decode(only!)).toMatchObject({ flags: mapFlags.first | mapFlags.last, total: 0 });
});

test("splitLong: a count past 30 bits becomes several entries", () => {
  const [a, b] = splitLong([extent(0, 1, 2 ** 30 + 5)]);
  expect([a!.count, b!.count]).toEqual([2 ** 30 - 1, 6]);
  expect([b!.filePage, b!.devicePage]).toEqual([2 ** 30 - 1, 2 ** 30]);
});

test("answerMessage: block 0 is never named", () => {
  expect(() => answerMessage(1n, 0, 1, [extent(0, 0, 1)])).toThrow("block 0");
});

test("replyMessage: the tag is the reply's unique", () => {
  const raw = Buffer.alloc(16);
  raw.writeBigUInt64LE(0x8000_0000_0000_0004n, 8);
  expect(headerOf(replyMessage(raw))).toEqual({ type: messageType.kReply, length: 32, tag: 0x8000_0000_0000_0004n });
});

test("headerOf: a length that lies is a bug", () => {
  const message = plainMessage(messageType.kDataReady, 1n);
  expect(() => headerOf(message.subarray(0, 12))).toThrow("holds a header");
  message.writeUInt32LE(20, 4);
  expect(() => headerOf(message)).toThrow("as long as its header says");
});
