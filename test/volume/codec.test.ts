// Items survive the way to bytes and back, and say their own length.

import { decodeItems, encodeItem, itemBytes, type Item } from "#src/volume/codec";
import { attributes } from "./small";

const items: readonly Item[] = [
  { kind: "put-inode", ino: 2 ** 40, attributes: attributes(0o120777, { size: 2 ** 45 + 1, mtime: { seconds: -5, nanoseconds: 999_999_999 } }), target: "a/\xff", parent: undefined },
  { kind: "put-inode", ino: 9, attributes: attributes(0o040755, { uid: 2 ** 32 - 1 }), target: undefined, parent: 3 },
  { kind: "drop-inode", ino: 9 },
  { kind: "put-entry", parent: 1, name: "n".repeat(255), ino: 12, type: 8 },
  { kind: "drop-entry", parent: 1, name: "\xe4\x01" },
  { kind: "set-extents", ino: 4, filePage: 2 ** 50, count: 9, extents: [
    { filePage: 2 ** 50, devicePage: 7, count: 2, state: "unwritten" }, { filePage: 2 ** 50 + 3, devicePage: 2 ** 32 - 2, count: 1, state: "shared" },
  ] },
  { kind: "set-extents", ino: 4, filePage: 0, count: 2 ** 52, extents: [] },
  { kind: "put-xattr", ino: 4, name: "user.a", value: Buffer.from([0, 255, 7]) },
  { kind: "put-xattr", ino: 4, name: "user.empty", value: Buffer.alloc(0) },
  { kind: "drop-xattr", ino: 4, name: "user.a" },
  { kind: "request", request: { session: 2n ** 64n - 1n, unique: 2n ** 63n - 1n, ino: 5 } },
];

test("encodeItem, decodeItems: every kind, one after the other, in a buffer that held something else", () => {
  const buffer = Buffer.alloc(8192, 0xaa);
  let end = 16;
  for (const item of items) {
    const next = encodeItem(buffer, end, item);
    expect(next - end).toBe(itemBytes(item));
    expect(next % 8).toBe(0);
    end = next;
  }
  expect([...decodeItems(buffer, 16, end)]).toEqual(items);
});

test("encodeItem: the same item gives the same bytes, whatever the buffer held", () => {
  for (const item of items) {
    const [a, b] = [Buffer.alloc(1024, 0xaa), Buffer.alloc(1024, 0x55)];
    const end = encodeItem(a, 0, item);
    encodeItem(b, 0, item);
    expect(a.subarray(0, end).equals(b.subarray(0, end))).toBe(true);
  }
});

test("decodeItems: an item that reaches beyond its payload is refused", () => {
  const buffer = Buffer.alloc(512);
  const end = encodeItem(buffer, 0, items[3]!);
  expect(() => [...decodeItems(buffer, 0, end - 8)]).toThrow("lies inside its payload");
});
