// Contents of files: reads, writes, truncation, several writers, several ways to write.

import { constants, promises as fs } from "node:fs";
import path from "node:path";

import { ioctl, mmapWrite } from "../../support/mounted-syscall";
import { must, sh } from "../../support/mounted-run";
import { allocated, outcome, runs, withOpen, type Case } from "./case";

export const dataCases: readonly Case[] = [
  {
    name: "what is written is read back, whole and in parts",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "a".repeat(5000) + "b".repeat(5000));
      const part = await withOpen(file, "r", (handle) => handle.read(Buffer.alloc(4000), 0, 4000, 3000));
      return [runs(await fs.readFile(file)), runs(part.buffer), (await fs.stat(file)).size];
    },
    expect: ["a*5000 b*5000", "a*2000 b*2000", 10000],
  },
  {
    name: "a read at and past the end is short",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "x".repeat(4100));
      return withOpen(file, "r", async (handle) => {
        const read = async (at: number): Promise<number> => (await handle.read(Buffer.alloc(100), 0, 100, at)).bytesRead;
        return [await read(4000), await read(4050), await read(4100), await read(10_000)];
      });
    },
    expect: [100, 50, 0, 0],
  },
  {
    name: "a write in the middle leaves the rest, across page borders",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "a".repeat(20_000));
      await withOpen(file, "r+", async (handle) => {
        await handle.write(Buffer.from("b".repeat(100)), 0, 100, 4046);
        await handle.write(Buffer.from("c"), 0, 1, 19_999);
        await handle.write(Buffer.from("d".repeat(8192)), 0, 8192, 8192);
      });
      return runs(await fs.readFile(file));
    },
    expect: "a*4046 b*100 a*4046 d*8192 a*3615 c*1",
  },
  {
    name: "truncate down and up again: the tail reads as zeros",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "a".repeat(10_000));
      await fs.truncate(file, 5000);
      await fs.truncate(file, 9000);
      const first = runs(await fs.readFile(file));
      await fs.truncate(file, 0);
      const empty = [(await fs.stat(file)).size, await allocated(file)];
      await fs.truncate(file, 4096);
      return [first, empty, runs(await fs.readFile(file))];
    },
    expect: ["a*5000 0*4000", [0, 0], "0*4096"],
  },
  {
    name: "a write past the end leaves zeros between, also in the last page",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "a".repeat(5000));
      await fs.truncate(file, 4500);
      await withOpen(file, "r+", (handle) => handle.write(Buffer.from("b".repeat(10)), 0, 10, 13_000));
      return runs(await fs.readFile(file));
    },
    expect: "a*4500 0*8500 b*10",
  },
  {
    name: "ftruncate on an open file, and open with O_TRUNC",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "a".repeat(9000));
      await withOpen(file, "r+", (handle) => handle.truncate(4097));
      const cut = (await fs.stat(file)).size;
      await withOpen(file, "w", async (handle) => handle.write("new"));
      return [cut, runs(await fs.readFile(file))];
    },
    expect: [4097, "n*1 e*1 w*1"],
  },
  {
    name: "appending writers do not lose a line",
    run: async ({ dir }) => {
      const file = path.join(dir, "log");
      await sh(`for w in 1 2 3 4 5 6; do (for i in $(seq 60); do echo "writer $w line $i" >>"$F"; done) & done; wait`, {
        env: { F: file },
      });
      const lines = (await fs.readFile(file, "utf8")).split("\n").filter((line) => line !== "");
      return [lines.length, new Set(lines).size, lines.every((line) => /^writer \d line \d+$/.test(line))];
    },
    expect: [360, 360, true],
  },
  {
    name: "O_DIRECT writes and reads, and buffered reads of the same",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      const source = path.join(dir, "source");
      await fs.writeFile(source, Buffer.alloc(1 << 20, "pattern of a length that is odd"));
      await must("dd", [`if=${source}`, `of=${file}`, "bs=64K", "oflag=direct", "status=none"]);
      await must("cmp", [source, file]);
      await must("dd", [`if=${file}`, `of=${source}`, "bs=256K", "iflag=direct", "status=none"]);
      await must("cmp", [source, file]);
      return (await fs.stat(file)).size;
    },
    expect: 1 << 20,
  },
  {
    name: "O_DIRECT and buffered writes of the same file see each other",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "a".repeat(12_288));
      await fs.readFile(file);
      await must("dd", ["if=/dev/zero", `of=${file}`, "bs=4096", "count=1", "seek=1", "conv=notrunc", "oflag=direct", "status=none"]);
      return runs(await fs.readFile(file));
    },
    expect: "a*4096 0*4096 a*4096",
  },
  {
    name: "a shared writable mapping: what is stored is read, and in a hole as well",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "a".repeat(8192));
      await fs.truncate(file, 16_384);
      const results = [await mmapWrite(file, 4000, "stored"), await mmapWrite(file, 9000, "in a hole")];
      const content = await fs.readFile(file);
      return [results, content.toString("latin1", 3999, 4007), content.toString("latin1", 9000, 9009), content.length];
    },
    expect: [[6, 9], "astoreda", "in a hole", 16_384],
  },
  {
    name: "mappings survive fsync and O_DIRECT reads see them",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "a".repeat(8192));
      await mmapWrite(file, 10, "mapped");
      await withOpen(file, "r+", async (handle) => { await handle.sync(); await handle.datasync(); });
      await must("dd", [`if=${file}`, `of=${file}.copy`, "bs=8192", "iflag=direct", "status=none"]);
      return (await fs.readFile(`${file}.copy`)).toString("latin1", 9, 17);
    },
    expect: "amappeda",
  },
  {
    name: "an unlinked open file stays readable, writable and is gone after",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "before");
      return withOpen(file, "r+", async (handle) => {
        await fs.unlink(file);
        await handle.write(Buffer.from("after!"), 0, 6, 6);
        await handle.truncate(10);
        const { nlink, size } = await handle.stat();
        const content = (await handle.read(Buffer.alloc(20), 0, 20, 0)).buffer.toString("latin1", 0, size);
        return { open: await outcome(fs.open(file)), nlink, content };
      });
    },
    expect: { open: "ENOENT", nlink: 0, content: "beforeafte" },
  },
  {
    name: "cp, cp --sparse and a pipe make equal copies",
    run: async ({ dir }) => sh(`
      cd "$D"; dd if=/dev/urandom of=a bs=1000 count=333 status=none; truncate -s 700K a
      cp a b; cp --sparse=always a c; cat a | dd of=d bs=777 status=none
      cmp a b; cmp a c; cmp a d; echo same
    `, { env: { D: dir } }),
    expect: "same\n",
  },
  {
    name: "open flags: O_EXCL, O_DIRECTORY, O_NOFOLLOW, a directory for writing",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "");
      await fs.symlink("f", path.join(dir, "link"));
      const { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
      const tryOpen = (name: string, flags: number): Promise<string> =>
        outcome(withOpen(path.join(dir, name), flags, async () => undefined));
      return [
        await tryOpen("f", O_CREAT | O_EXCL | O_WRONLY), await tryOpen("f", O_DIRECTORY), await tryOpen("link", O_NOFOLLOW),
        await tryOpen(".", O_WRONLY), await tryOpen(".", O_RDONLY | O_DIRECTORY), await tryOpen("new", O_CREAT | O_EXCL),
        await tryOpen("f/x", O_RDONLY), await tryOpen("none/x", O_CREAT | O_WRONLY),
      ];
    },
    expect: ["EEXIST", "ENOTDIR", "ELOOP", "EISDIR", "ok", "ok", "ENOTDIR", "ENOENT"],
  },
  {
    name: "a descriptor opened for one thing refuses the other; a terminal ioctl is ENOTTY",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "x");
      const tcgets = 0x5401;
      return [
        await withOpen(file, "r", (handle) => outcome(handle.write("y"))),
        await withOpen(file, "a", (handle) => outcome(handle.read(Buffer.alloc(1), 0, 1, 0))),
        await withOpen(dir, "r", (handle) => outcome(handle.read(Buffer.alloc(1), 0, 1, 0))),
        await ioctl(file, tcgets),
      ];
    },
    expect: ["EBADF", "EBADF", "EISDIR", "ENOTTY"],
  },
  {
    name: "flock and record locks hold between processes",
    run: async ({ dir }) => sh(`
      cd "$D"; touch lock; exec 9>lock; flock 9
      flock --nonblock lock true || echo held; flock --unlock 9; flock --nonblock lock echo free
    `, { env: { D: dir } }),
    expect: "held\nfree\n",
  },
];
