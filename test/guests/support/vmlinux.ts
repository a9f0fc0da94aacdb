// The uncompressed kernel out of a vmlinuz, as scripts/extract-vmlinux of the kernel's sources finds it: by trial.

import { spawnSync } from "node:child_process";

const formats: readonly { readonly magic: Buffer; readonly program: readonly [string, ...string[]] }[] = [
  { magic: Buffer.from("fd377a585a00", "hex"), program: ["xz", "-dc", "--single-stream"] },
  { magic: Buffer.from("28b52ffd", "hex"), program: ["zstd", "-dc"] },
  { magic: Buffer.from("1f8b08", "hex"), program: ["gzip", "-dc"] },
];

const elf = Buffer.from("\x7fELF", "latin1");

export function vmlinux(vmlinuz: Buffer): Buffer {
  for (const { magic, program: [program, ...args] } of formats) {
    for (let at = vmlinuz.indexOf(magic); at >= 0; at = vmlinuz.indexOf(magic, at + 1)) {
      // What follows the kernel in the file makes the program fail after it has written all of it.
      const { stdout } = spawnSync(program, args, { input: vmlinuz.subarray(at), maxBuffer: 1 << 29 });
      if (stdout?.subarray(0, 4).equals(elf)) return stdout;
    }
  }
  throw new Error("no kernel of a known compression (xz, zstd, gzip) in it");
}
