import { crc32c } from "#src/base/crc32c";

// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
test.each([
  ["123456789", Buffer.from("123456789"), 0xe3069283],
  ["32 zeros", Buffer.alloc(32), 0x8a9136aa],
  ["32 bytes of ones", Buffer.alloc(32, 0xff), 0x62a8ab43],
  ["0 to 31", Buffer.from(Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e],
  ["nothing", Buffer.alloc(0), 0],
])("crc32c: %s", (_name, bytes, expected) => {
  expect(crc32c(bytes)).toBe(expected);
});

test("crc32c: a seed continues, whatever the cut", () => {
  const bytes = Buffer.from("the quick brown fox jumps over the lazy dog");
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    expect(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut)))).toBe(crc32c(bytes));
  }
});
