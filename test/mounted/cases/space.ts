// Holes, preallocation and a filesystem that runs full.

import { promises as fs } from "node:fs";
import path from "node:path";

import { fallocate, lseek } from "../../support/mounted-syscall";
import { run, sh } from "../../support/mounted-run";
import { allocated, outcome, runs, withOpen, type Case } from "./case";

const keepSize = 1;
const punchHole = 2;
const zeroRange = 0x10;

const noFallocate = "the path API of libfuse 2 as fuse-native binds it has no fallocate";
const noSeek = "libfuse 2 has no lseek: the kernel takes the whole file for data";

async function sizes(file: string): Promise<[number, number]> {
  return [(await fs.stat(file)).size, await allocated(file)];
}

export const spaceCases: readonly Case[] = [
  {
    name: "a sparse file: its blocks, SEEK_DATA and SEEK_HOLE",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await withOpen(file, "w", async (handle) => {
        await handle.write(Buffer.alloc(4096, "a"), 0, 4096, 1 << 20);
        await handle.truncate(2 << 20);
        await handle.sync();
      });
      return {
        sizes: await sizes(file), data: await lseek(file, 0, 3), hole: await lseek(file, 0, 4),
        after: await lseek(file, 1 << 20, 4), none: await lseek(file, (1 << 20) + 4096, 3), past: await lseek(file, 2 << 20, 4),
        zeros: runs((await fs.readFile(file)).subarray((1 << 20) - 2, (1 << 20) + 4098)),
      };
    },
    expect: { sizes: [2 << 20, 4096], data: 1 << 20, hole: 0, after: (1 << 20) + 4096, none: "ENXIO", past: "ENXIO", zeros: "0*2 a*4096 0*2" },
    differs: {
      "fuse-native": {
        because: noSeek,
        expect: { sizes: [2 << 20, 4096], data: 0, hole: 2 << 20, after: 2 << 20, none: (1 << 20) + 4096, past: "ENXIO", zeros: "0*2 a*4096 0*2" },
      },
    },
  },
  {
    name: "fallocate: blocks and size, KEEP_SIZE keeps it, what is read is zeros",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "a".repeat(5000));
      const plain = [await fallocate(file, 0, 0, 40_960), ...(await sizes(file))];
      const kept = [await fallocate(file, keepSize, 0, 81_920), ...(await sizes(file))];
      return [plain, kept, runs(await fs.readFile(file))];
    },
    expect: [[0, 40_960, 40_960], [0, 40_960, 81_920], "a*5000 0*35960"],
    differs: { "fuse-native": { because: noFallocate, expect: [["EOPNOTSUPP", 5000, 8192], ["EOPNOTSUPP", 5000, 8192], "a*5000"] } },
  },
  {
    name: "fallocate: PUNCH_HOLE frees whole pages and zeroes the edges",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "a".repeat(40_960));
      const result = await fallocate(file, keepSize | punchHole, 5000, 20_000);
      const beyond = await fallocate(file, keepSize | punchHole, 100_000, 4096);
      return [result, beyond, await sizes(file), runs(await fs.readFile(file))];
    },
    expect: [0, 0, [40_960, 24_576], "a*5000 0*20000 a*15960"],
    differs: { "fuse-native": { because: noFallocate, expect: ["EOPNOTSUPP", "EOPNOTSUPP", [40_960, 40_960], "a*40960"] } },
  },
  {
    name: "fallocate: ZERO_RANGE zeroes, keeps the blocks and may extend",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "a".repeat(20_480));
      const inside = [await fallocate(file, zeroRange, 1000, 9000), ...(await sizes(file))];
      const extended = [await fallocate(file, zeroRange, 16_384, 16_384), ...(await sizes(file))];
      const kept = [await fallocate(file, zeroRange | keepSize, 32_768, 8192), ...(await sizes(file))];
      return [inside, extended, kept, runs(await fs.readFile(file))];
    },
    expect: [[0, 20_480, 20_480], [0, 32_768, 32_768], [0, 32_768, 40_960], "a*1000 0*9000 a*6384 0*16384"],
    differs: {
      "fuse-native": {
        because: noFallocate,
        expect: [["EOPNOTSUPP", 20_480, 20_480], ["EOPNOTSUPP", 20_480, 20_480], ["EOPNOTSUPP", 20_480, 20_480], "a*20480"],
      },
    },
  },
  {
    name: "fallocate: bad ranges and bad files",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "x");
      return [
        await fallocate(file, 0, -1, 4096), await fallocate(file, 0, 0, 0), await fallocate(file, punchHole, 0, 4096),
        await fallocate(file, 0, 2 ** 62, 2 ** 62), (await fs.stat(file)).size,
      ];
    },
    expect: ["EINVAL", "EINVAL", "EOPNOTSUPP", "EFBIG", 1],
  },
  {
    name: "fallocate(1): the modes that people type",
    run: async ({ dir }) => {
      const done = await run("sh", ["-euc", `
        cd "$D"; fallocate -l 64K a; stat -c '%s %b' a; fallocate -n -o 64K -l 64K a; stat -c '%s %b' a
        yes | head -c 65536 >a; fallocate -z -o 4096 -l 8192 a; fallocate -p -o 32768 -l 16384 a; stat -c '%s %b' a
        head -c 32768 /dev/zero >>a; fallocate -d a; stat -c '%s' a; od -An -c -j 32766 -N 3 a
      `], { env: { D: dir } });
      return [done.status, done.stdout, done.stderr];
    },
    expect: [0, "65536 128\n65536 256\n65536 96\n98304\n   y  \\n  \\0\n", ""],
    differs: { "fuse-native": { because: noFallocate, expect: [1, "", "fallocate: fallocate failed: Operation not supported\n"] } },
  },
  {
    name: "holes are filled by small writes, each in a page of its own",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await withOpen(file, "w", async (handle) => {
        await handle.truncate(65_536);
        for (let page = 15; page >= 0; page -= 2) await handle.write(Buffer.from("x"), 0, 1, page * 4096 + 100);
      });
      const content = await fs.readFile(file);
      let marks = 0;
      for (const byte of content) marks += byte === 0 ? 0 : 1;
      return [await sizes(file), marks, content[15 * 4096 + 100]];
    },
    expect: [[65_536, 32_768], 8, 0x78],
  },
  {
    name: "statfs: block size, name length, and free blocks that follow",
    run: async ({ dir }) => {
      const before = await fs.statfs(dir);
      await fs.writeFile(path.join(dir, "f"), Buffer.alloc(1 << 20, 1));
      const full = await fs.statfs(dir);
      await fs.unlink(path.join(dir, "f"));
      await sh(`sync -f "$D"`, { env: { D: dir } });
      const after = await fs.statfs(dir);
      const name = (await sh(`stat -f -c %l "$D"`, { env: { D: dir } })).trim();
      return [before.bsize, name, before.bfree - full.bfree >= 256, before.bfree - full.bfree < 264, before.bfree - after.bfree, before.blocks > 1000, before.ffree > 10];
    },
    expect: [4096, "255", true, true, 0, true, true],
  },
];

/** Needs a filesystem of its own, since it fills it. */
export const fullCases: readonly Case[] = [
  {
    name: "a full filesystem: ENOSPC, what was written stays, what is freed is used again",
    run: async ({ dir }) => {
      const at = (name: string): string => path.join(dir, name);
      await fs.writeFile(at("old"), "o".repeat(40_000));
      const filled = await outcome(fs.writeFile(at("big"), Buffer.alloc(256 << 20, "b")));
      const big = await fs.readFile(at("big"));
      // A write request is done whole or not at all, and it has at most 256 pages.
      const free = (await fs.statfs(dir)).bavail;
      const overwrite = await withOpen(at("big"), "r+", (handle) => outcome(handle.write(Buffer.alloc(8192, "B"), 0, 8192, 4096)));
      const another = await outcome(fs.appendFile(at("old"), Buffer.alloc(1 << 20)));
      const renamed = await outcome(fs.rename(at("big"), at("huge")));
      const whole = big.length === (await fs.stat(at("huge"))).size && big.every((byte) => byte === 0x62);
      await fs.unlink(at("huge"));
      await sh(`sync -f "$D"`, { env: { D: dir } });
      return [filled, whole, free <= 256, overwrite, another, renamed, runs((await fs.readFile(at("old"))).subarray(0, 40_000)), await outcome(fs.writeFile(at("next"), Buffer.alloc(4 << 20, "n")))];
    },
    expect: ["ENOSPC", true, true, "ok", "ENOSPC", "ok", "o*40000", "ok"],
  },
  {
    name: "dd to the last byte: what it counted is what is there",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      const done = await run("dd", ["if=/dev/zero", `of=${file}`, "bs=1M", "count=300", "conv=fsync"]);
      const written = Number(/(\d+) bytes/.exec(done.stderr)?.[1]);
      const { size } = await fs.stat(file);
      await fs.unlink(file);
      return [done.status, /No space left on device/.test(done.stderr), written > 5 << 20, written === size];
    },
    expect: [1, true, true, true],
  },
];
