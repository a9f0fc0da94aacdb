import { errnoName } from "#src/base/errno";
import { FsError, UserError, errnoOf, exitCode, messageOf } from "#src/base/errors";
import { formatByteLength, narrow, pagesFor, parseByteLength, wholePages } from "#src/base/units";

test.each([
  ["4096", 4096], ["20G", 20 * 2 ** 30], ["512MiB", 512 * 2 ** 20], ["1.5k", 1536], [" 2 T ", 2 * 2 ** 40], ["7b", 7],
])("parseByteLength reads %p", (text, expected) => {
  expect(parseByteLength(text, "--size")).toBe(expected);
});

test.each(["", "many", "-1", "0", "1X", "1e3", "0x10", "5 G G", "9999999999T", "0.4"])("parseByteLength refuses %p", (text) => {
  expect(() => parseByteLength(text, "--size")).toThrow(UserError);
  expect(() => parseByteLength(text, "--size")).toThrow(`cannot read --size "${text}": not a size`);
});

test("formatByteLength: the largest unit that fits, one digit", () => {
  expect([0, 512, 1536, 2 ** 20, 20 * 2 ** 30, 1.25 * 2 ** 40].map(formatByteLength))
    .toEqual(["0 B", "512 B", "1.5 KiB", "1 MiB", "20 GiB", "1.3 TiB"]);
});

test("pagesFor rounds up, wholePages down", () => {
  expect([0, 1, 4096, 4097].map(pagesFor)).toEqual([0, 1, 1, 2]);
  expect([0, 4095, 4096, 8191].map(wholePages)).toEqual([0, 0, 1, 1]);
});

test("narrow: exact, or the field's name", () => {
  expect(narrow(2n ** 53n - 1n, "size")).toBe(2 ** 53 - 1);
  expect(() => narrow(2n ** 53n, "fuse_attr.size")).toThrow("fuse_attr.size");
  expect(() => narrow(-1n, "size")).toThrow("size");
});

test("errors know their answer", () => {
  expect(new FsError("ENOSPC").errno).toBe(28);
  expect(errnoOf(new FsError("ETXTBSY"))).toBe(26);
  expect(errnoOf(Object.assign(new Error("x"), { code: "ENOENT" }))).toBe(2);
  expect(errnoOf(new TypeError("a bug"))).toBe(5);
  expect(errnoName(28)).toBe("ENOSPC");
  expect(errnoName(999)).toBe("errno 999");
  expect(new UserError(exitCode.damaged, "cannot open x").exit).toBe(11);
  expect(messageOf("text")).toBe("text");
});
