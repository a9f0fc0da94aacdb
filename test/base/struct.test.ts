import { Struct, bytes, i32, i64, inline, u16, u32, u64 } from "#src/base/struct";

const point = new Struct("point", { x: i32, y: i32 });
const all = new Struct("all", { flag: bytes(1), padding: bytes(1), port: u16, count: u32, big: u64, signed: i64, at: inline(point) });

test("Struct: C offsets and size, little-endian bytes", () => {
  expect(all.offsets).toEqual({ flag: 0, padding: 1, port: 2, count: 4, big: 8, signed: 16, at: 24 });
  expect(all.size).toBe(32);
  const values = {
    flag: Buffer.from([1]), padding: Buffer.from([0]), port: 0x1234, count: 0xfffffffe, big: 0x0102030405060708n, signed: -2n, at: { x: -1, y: 7 },
  };
  const encoded = all.encode(values);
  expect(encoded.toString("hex")).toBe("01003412feffffff0807060504030201feffffffffffffffffffffff07000000");
  expect(all.decode(encoded)).toEqual(values);
});

test("Struct: encodeInto writes at an offset and returns its end", () => {
  const buffer = Buffer.alloc(12, 0xaa);
  expect(point.encodeInto(buffer, 2, { x: 1, y: 2 })).toBe(10);
  expect(buffer.toString("hex")).toBe("aaaa0100000002000000aaaa");
  expect(point.decode(buffer, 2)).toEqual({ x: 1, y: 2 });
});

test("Struct: a hole between fields or at the end is a bug of ours", () => {
  expect(() => new Struct("hole", { a: u16, b: u32 })).toThrow("hole.b is aligned: padding is a field");
  expect(() => new Struct("tail", { a: u32, b: u16 })).toThrow("tail ends aligned");
});

test("Struct: bytes of another length are refused", () => {
  expect(() => new Struct("raw", { raw: bytes(4) }).encode({ raw: Buffer.alloc(3) })).toThrow("4 bytes is given 3 bytes");
});
