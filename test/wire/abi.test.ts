// Sizes and offsets of the structs against the kernel's own header, where it is installed (linux-libc-dev), and the
// opcode table against its list.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { Struct } from "#src/base/struct";
import { opcodes } from "#src/wire/opcodes";
import * as structs from "#src/wire/structs";

const header = "/usr/include/linux/fuse.h";
const text = readFileSync(header, "utf8");

/** Unknown to the header of Debian 12 (7.38), or standing for two structs of it, or a shorter form. */
const notInHeader = new Set(["fuse_create_out", "fuse_setxattr_in", "fuse_copy_file_range_out", "fuse_statx_in"]);
/** Fields that 7.43 names and 7.38 does not: same place. */
const isNewer = text.includes("request_timeout;");
const laterNames: Readonly<Record<string, string>> = {
  "fuse_open_out.backing_id": "padding", "fuse_init_out.max_stack_depth": "unused", "fuse_init_out.request_timeout": "unused[1]",
  "fuse_init_out.unused": "",
};

const known = Object.values(structs).filter((value) => value instanceof Struct).filter((struct) => !notInHeader.has(struct.name));

function printed(lines: string[]): string[] {
  const dir = mkdtempSync(path.join(tmpdir(), "swapfs-wire-"));
  try {
    const source = `#include <stdio.h>\n#include <stddef.h>\n#include <${"linux/fuse.h"}>\nint main(void) {\n${lines.join("\n")}\nreturn 0; }\n`;
    writeFileSync(path.join(dir, "a.c"), source);
    execFileSync("gcc", ["-o", path.join(dir, "a"), path.join(dir, "a.c")]);
    return execFileSync(path.join(dir, "a"), { encoding: "utf8" }).trim().split("\n");
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test("sizes and offsets are the kernel's", () => {
  const expected: string[] = [];
  const lines: string[] = [];
  for (const struct of known) {
    expected.push(`${struct.name} ${struct.size}`);
    lines.push(`printf("${struct.name} %zu\\n", sizeof(struct ${struct.name}));`);
    for (const [field, offset] of Object.entries(struct.offsets)) {
      const theirs = isNewer ? field : laterNames[`${struct.name}.${field}`] ?? field;
      if (theirs === "") continue;
      expected.push(`${struct.name}.${field} ${offset}`);
      lines.push(`printf("${struct.name}.${field} %zu\\n", offsetof(struct ${struct.name}, ${theirs}));`);
    }
  }
  expect(printed(lines)).toEqual(expected);
});

test("opcodes are the kernel's", () => {
  const theirs = [...text.matchAll(/^\s*(FUSE_[A-Z0-9_]+)\s*=\s*(\d+),/gm)]
    .filter(([, name]) => !/NOTIFY_(POLL|INVAL|STORE|RETRIEVE|DELETE|RESEND|INC|PRUNE)|BSWAP|SECCTX/.test(name!))
    .map(([, name, code]) => [name, Number(code)]).filter(([, code]) => Number(code) <= 51);
  const ours = Object.values(opcodes).map(({ name, code }) => [name, code]).filter(([, code]) => Number(code) <= 51);
  expect(ours).toEqual(theirs);
});
