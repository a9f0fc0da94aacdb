// The namespace: directories, renames, links, names.

import { promises as fs } from "node:fs";
import path from "node:path";

import { renameat2 } from "../../support/mounted-syscall";
import { must, sh } from "../../support/mounted-run";
import { outcome, withOpen, type Case } from "./case";

const noReplace = 1;
const exchange = 2;

const noRenameFlags = "the path API of libfuse 2 has no flags for rename: the kernel answers EINVAL by itself";

export const nameCases: readonly Case[] = [
  {
    name: "mkdir, rmdir and unlink: the right errno for the wrong thing",
    run: async ({ dir }) => {
      const at = (name: string): string => path.join(dir, name);
      await fs.mkdir(at("d"));
      await fs.mkdir(at("d/inner"));
      await fs.writeFile(at("f"), "");
      return {
        again: await outcome(fs.mkdir(at("d"))), overFile: await outcome(fs.mkdir(at("f"))),
        noParent: await outcome(fs.mkdir(at("none/x"))), full: await outcome(fs.rmdir(at("d"))),
        gone: await outcome(fs.rmdir(at("none"))), file: await outcome(fs.rmdir(at("f"))),
        unlinkDir: await outcome(fs.unlink(at("d"))), unlinkGone: await outcome(fs.unlink(at("none"))),
        empty: await outcome(fs.rmdir(at("d/inner"))), then: await outcome(fs.rmdir(at("d"))),
      };
    },
    expect: {
      again: "EEXIST", overFile: "EEXIST", noParent: "ENOENT", full: "ENOTEMPTY", gone: "ENOENT", file: "ENOTDIR",
      unlinkDir: "EISDIR", unlinkGone: "ENOENT", empty: "ok", then: "ok",
    },
  },
  {
    name: "link counts of directories count their children",
    run: async ({ dir }) => {
      const nlink = async (): Promise<number> => (await fs.stat(path.join(dir, "d"))).nlink;
      await fs.mkdir(path.join(dir, "d"));
      const counts = [await nlink()];
      await fs.mkdir(path.join(dir, "d/a"));
      await fs.writeFile(path.join(dir, "d/f"), "");
      counts.push(await nlink());
      await fs.rename(path.join(dir, "d/a"), path.join(dir, "a"));
      counts.push(await nlink());
      return counts;
    },
    expect: [2, 3, 2],
  },
  {
    name: "rename: replaces files and empty directories, refuses the rest",
    run: async ({ dir }) => {
      const at = (name: string): string => path.join(dir, name);
      await sh(`cd "$D"; mkdir empty full other; touch full/x; echo a >a; echo b >b; mkdir sub`, { env: { D: dir } });
      return {
        file: await outcome(fs.rename(at("a"), at("b"))), content: await fs.readFile(at("b"), "utf8"),
        gone: await outcome(fs.rename(at("a"), at("c"))), overDir: await outcome(fs.rename(at("b"), at("empty"))),
        dirOverFile: await outcome(fs.rename(at("empty"), at("b"))), overFull: await outcome(fs.rename(at("other"), at("full"))),
        overEmpty: await outcome(fs.rename(at("full"), at("empty"))), inside: await fs.readdir(at("empty")),
        intoItself: await outcome(fs.rename(at("empty"), at("empty/deeper"))),
        same: await outcome(fs.rename(at("b"), at("b"))), noParent: await outcome(fs.rename(at("b"), at("none/b"))),
      };
    },
    expect: {
      file: "ok", content: "a\n", gone: "ENOENT", overDir: "EISDIR", dirOverFile: "ENOTDIR", overFull: "ENOTEMPTY",
      overEmpty: "ok", inside: ["x"], intoItself: "EINVAL", same: "ok", noParent: "ENOENT",
    },
  },
  {
    name: "rename over a second name of the same file leaves both",
    run: async ({ dir }) => {
      await fs.writeFile(path.join(dir, "a"), "x");
      await fs.link(path.join(dir, "a"), path.join(dir, "b"));
      await must("perl", ["-e", "rename($ARGV[0], $ARGV[1]) or die", path.join(dir, "a"), path.join(dir, "b")]);
      return (await fs.readdir(dir)).sort();
    },
    expect: ["a", "b"],
  },
  {
    name: "a moved directory's .. is its new parent",
    run: async ({ dir }) => {
      await sh(`cd "$D"; mkdir -p a/moved b; touch b/here; mv a/moved b/moved`, { env: { D: dir } });
      return sh(`cd "$D/b/moved/.."; ls`, { env: { D: dir } });
    },
    expect: "here\nmoved\n",
  },
  {
    name: "rename with RENAME_NOREPLACE",
    run: async ({ dir }) => {
      await sh(`cd "$D"; echo a >a; echo b >b`, { env: { D: dir } });
      const at = (name: string): string => path.join(dir, name);
      const refused = await renameat2(at("a"), at("b"), noReplace);
      return [refused, await renameat2(at("a"), at("c"), noReplace), (await fs.readdir(dir)).sort(), await fs.readFile(at("b"), "utf8")];
    },
    expect: ["EEXIST", 0, ["b", "c"], "b\n"],
    differs: { "fuse-native": { because: noRenameFlags, expect: ["EEXIST", "EINVAL", ["a", "b"], "b\n"] } },
  },
  {
    name: "rename with RENAME_EXCHANGE, of a file and a directory too",
    run: async ({ dir }) => {
      await sh(`cd "$D"; echo a >a; mkdir d; echo inner >d/inner`, { env: { D: dir } });
      const at = (name: string): string => path.join(dir, name);
      const swapped = await renameat2(at("a"), at("d"), exchange);
      const missing = await renameat2(at("a"), at("none"), exchange);
      return [swapped, missing, await sh(`cd "$D"; cat a/inner d 2>&1 || true`, { env: { D: dir } })];
    },
    expect: [0, "ENOENT", "inner\na\n"],
    differs: {
      "fuse-native": { because: noRenameFlags, expect: ["EINVAL", "ENOENT", "cat: a/inner: Not a directory\ncat: d: Is a directory\n"] },
    },
  },
  {
    name: "hard links are one inode with one content",
    run: async ({ dir }) => {
      const a = path.join(dir, "a");
      const b = path.join(dir, "b");
      await fs.writeFile(a, "one");
      await fs.link(a, b);
      await fs.writeFile(b, "two!");
      await fs.chmod(b, 0o600);
      const [first, second] = [await fs.stat(a), await fs.stat(b)];
      const same = first.ino === second.ino;
      const seen = [same, first.nlink, first.mode & 0o777, await fs.readFile(a, "utf8")];
      await fs.unlink(a);
      return [...seen, (await fs.stat(b)).nlink, await outcome(fs.link(dir, path.join(dir, "d"))), await outcome(fs.link(b, b))];
    },
    expect: [true, 2, 0o600, "two!", 1, "EPERM", "EEXIST"],
  },
  {
    name: "symbolic links: text, dangling, loops, the longest one",
    run: async ({ dir }) => {
      const at = (name: string): string => path.join(dir, name);
      await fs.symlink("nowhere", at("dangling"));
      await fs.symlink("loop", at("loop"));
      await fs.symlink("x".repeat(4095), at("long"));
      await fs.link(at("dangling"), at("second"));
      const long = (await fs.readlink(at("long"))).length;
      return [
        await fs.readlink(at("dangling")), await outcome(fs.readFile(at("dangling"))), await outcome(fs.readFile(at("loop"))),
        long, (await fs.lstat(at("dangling"))).size, (await fs.lstat(at("second"))).nlink,
        await outcome(fs.symlink("x", at("loop"))), await outcome(fs.symlink("x".repeat(4096), at("longer"))),
        await outcome(fs.readlink(dir)),
      ];
    },
    expect: ["nowhere", "ENOENT", "ELOOP", 4095, 7, 2, "EEXIST", "ENAMETOOLONG", "EINVAL"],
  },
  {
    name: "names: 255 bytes and not one more, every byte but / and NUL",
    run: async ({ dir }) => {
      const odd = Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0x01, 0x0a, 0x20, 0xff, 0xfe, 0x80])]);
      const results = [
        await outcome(fs.writeFile(path.join(dir, "n".repeat(255)), "x")), await outcome(fs.writeFile(path.join(dir, "n".repeat(256)), "x")),
        await outcome(fs.mkdir(path.join(dir, "d".repeat(256)))), await outcome(fs.symlink("x", path.join(dir, "s".repeat(256)))),
        await outcome(fs.rename(path.join(dir, "n".repeat(255)), path.join(dir, "m".repeat(256)))),
        await outcome(fs.writeFile(path.join(dir, "\u20ac".repeat(85)), "x")), await outcome(fs.writeFile(path.join(dir, "\u20ac".repeat(86)), "x")),
        await outcome(fs.writeFile(odd, "odd")), await outcome(fs.readFile(odd)),
      ];
      return [results, (await fs.readdir(dir, { encoding: "buffer" })).map((name) => name.length).sort()];
    },
    expect: [["ok", "ENAMETOOLONG", "ENAMETOOLONG", "ENAMETOOLONG", "ENAMETOOLONG", "ok", "ENAMETOOLONG", "ok", "ok"], [255, 255, 6]],
    differs: {
      "fuse-native": {
        because: "fuse-native passes names through UTF-8: bytes that are not UTF-8 cannot be named, so they are refused",
        expect: [["ok", "ENAMETOOLONG", "ENAMETOOLONG", "ENAMETOOLONG", "ENAMETOOLONG", "ok", "ENAMETOOLONG", "EINVAL", "EINVAL"], [255, 255]],
      },
    },
  },
  {
    name: "2,000 entries: each is listed once, and removing them while reading loses none",
    run: async ({ dir }) => {
      const at = (index: number): string => path.join(dir, `entry-${String(index).padStart(5, "0")}`);
      for (let index = 0; index < 2000; index += 1) await (await fs.open(at(index), "w")).close();
      const listed = await fs.readdir(dir);
      const removed = new Set<string>();
      for await (const entry of await fs.opendir(dir, { bufferSize: 16 })) {
        removed.add(entry.name);
        await fs.unlink(path.join(dir, entry.name));
      }
      return [listed.length, new Set(listed).size, removed.size, await fs.readdir(dir)];
    },
    expect: [2000, 2000, 2000, []],
  },
  {
    name: "entries that stay are listed exactly once while others come and go",
    run: async ({ dir }) => {
      for (let index = 0; index < 600; index += 1) await fs.writeFile(path.join(dir, `stay-${index}`), "");
      const seen = new Map<string, number>();
      let made = 0;
      for await (const entry of await fs.opendir(dir, { bufferSize: 8 })) {
        seen.set(entry.name, (seen.get(entry.name) ?? 0) + 1);
        await fs.writeFile(path.join(dir, `new-${made}`), "");
        if (made % 2 === 1) await fs.unlink(path.join(dir, `new-${made - 1}`));
        made += 1;
        if (made > 3000) return "the listing does not end";
      }
      const stayed = [...seen].filter(([name]) => name.startsWith("stay-"));
      return [stayed.length, stayed.every(([, times]) => times === 1)];
    },
    expect: [600, true],
  },
  {
    name: "entry types in listings, . and .. included, special files too",
    run: async ({ dir }) => {
      await sh(`cd "$D"; mkdir d; touch f; ln -s f l; mkfifo p; mknod c c 1 3; mknod b b 7 200`, { env: { D: dir } });
      const listing = await sh(`cd "$D"; find . -mindepth 1 -printf '%y %f\n' | sort; ls -a | head -2; stat -c '%t %T' c b`, { env: { D: dir } });
      return listing.split("\n").filter((line) => line !== "");
    },
    expect: ["b b", "c c", "d d", "f f", "l l", "p p", ".", "..", "1 3", "7 c8"],
  },
  {
    name: "a removed directory that is still open is empty and takes no new entry",
    run: async ({ dir }) => {
      const inner = path.join(dir, "inner");
      await fs.mkdir(inner);
      return withOpen(inner, "r", async () => {
        await fs.rmdir(inner);
        return [await outcome(fs.writeFile(path.join(inner, "x"), "")), await outcome(fs.readdir(inner))];
      });
    },
    expect: ["ENOENT", "ENOENT"],
  },
];
