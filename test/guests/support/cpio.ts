// Archives of the "newc" format, which the kernel unpacks as its first root (Documentation/driver-api/early-userspace/buffer-format.rst).

export type CpioEntry = { readonly name: string } & (
  | { readonly folder: true }
  | { readonly contents: Buffer | string; readonly executable?: boolean });

/** One archive. Archives may follow each other: each is padded to 4 bytes. */
export function cpio(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.map((entry, index) => ("folder" in entry
    ? member(entry.name, index + 1, 0o40755, Buffer.alloc(0))
    : member(entry.name, index + 1, entry.executable ? 0o100755 : 0o100644, Buffer.from(entry.contents))));
  return Buffer.concat([...parts, member("TRAILER!!!", 0, 0, Buffer.alloc(0))]);
}

function member(name: string, inode: number, mode: number, contents: Buffer): Buffer {
  const links = 1;
  const fields = [inode, mode, 0, 0, links, 0, contents.length, 0, 0, 0, 0, name.length + 1, 0];
  const head = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${name}\0`;
  return Buffer.concat([padded(Buffer.from(head, "latin1")), padded(contents)]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
