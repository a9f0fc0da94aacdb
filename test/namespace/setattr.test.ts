// The rules of chmod, chown, utimens and truncate, as Linux has them.

import { withoutSetId } from "#src/namespace/modes";
import { requestedAttributes } from "#src/namespace/setattr";

const then = { seconds: 100, nanoseconds: 1 };
const now = { seconds: 200, nanoseconds: 2 };
const later = { seconds: 300, nanoseconds: 3 };
const file = { mode: 0o106755, uid: 1, gid: 2, nlink: 1, size: 10, rdev: 0, atime: then, mtime: then, ctime: then };
const directory = { ...file, mode: 0o042755 };

test("chmod: permission bits change, the type stays, ctime moves", () => {
  expect(requestedAttributes(file, { mode: 0o040600, killSuidgid: false }, now)).toEqual({ ...file, mode: 0o100600, ctime: now });
});

test("chown: takes set-id bits away from a file, not from a directory", () => {
  expect(requestedAttributes(file, { uid: 5, killSuidgid: false }, now)).toEqual({ ...file, mode: 0o100755, uid: 5, ctime: now });
  expect(requestedAttributes(file, { gid: 5, killSuidgid: false }, now)?.mode).toBe(0o100755);
  expect(requestedAttributes(directory, { gid: 5, killSuidgid: true }, now)?.mode).toBe(0o042755);
});

test("withoutSetId: setgid without group execution means locking and stays", () => {
  expect([0o106755, 0o102745, 0o104644, 0o102755].map(withoutSetId)).toEqual([0o100755, 0o102745, 0o100644, 0o100755]);
});

test("utimens: given, now, or untouched", () => {
  expect(requestedAttributes(file, { atime: later, killSuidgid: false }, now)).toEqual({ ...file, atime: later, ctime: now });
  expect(requestedAttributes(file, { atime: "now", mtime: later, killSuidgid: false }, now))
    .toEqual({ ...file, atime: now, mtime: later, ctime: now });
  expect(requestedAttributes(file, { ctime: later, killSuidgid: false }, now)?.ctime).toEqual(later);
});

test("truncate: the times move when the size does", () => {
  expect(requestedAttributes(file, { size: 11, killSuidgid: false }, now)).toEqual({ ...file, size: 11, mtime: now, ctime: now });
  expect(requestedAttributes(file, { size: 10, killSuidgid: false }, now)).toBeUndefined();
  expect(requestedAttributes(file, { size: 10, mtime: "now", killSuidgid: false }, now)).toEqual({ ...file, mtime: now, ctime: now });
  expect(requestedAttributes(file, { size: 10, killSuidgid: true }, now)?.mode).toBe(0o100755);
});
