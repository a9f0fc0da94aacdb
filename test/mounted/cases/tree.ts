// A tree with one of everything, and its description for comparison.

import { createHash } from "node:crypto";
import { promises as fs } from "node:fs";
import path from "node:path";

import { must, sh } from "../../support/mounted-run";

/** Files of many sizes, sparse ones, links, special files, attributes. */
export async function makeTree(dir: string): Promise<void> {
  await sh(`
    cd "$D"; mkdir -p deep/er/est many; for i in $(seq 20); do echo "file $i" >many/f$i; done
    head -c 300000 /dev/urandom >random; truncate -s 5M sparse; echo end >>sparse; : >empty
    head -c 5000 /dev/urandom >deep/er/odd; ln deep/er/odd deep/second; ln -s ../random deep/link; ln -s nowhere dangling
    mkfifo pipe; mknod null c 1 3; mkdir -m 1777 sticky; echo x >owned; chown 1000:1001 owned; chmod 6711 owned
    touch -d '2001-02-03 04:05:06.123456789' deep/er/odd; touch -d '1999-01-01' many
    setfattr -n user.one -v 'value one' random; setfattr -n trusted.two -v 0x0001ff random; setfattr -n user.dir -v d deep
    fallocate -l 100K reserved 2>/dev/null || truncate -s 100K reserved; mv many/f1 'with space'; rm many/f2
    printf 'in the middle' | dd of=random bs=1 seek=100001 conv=notrunc status=none
  `, { env: { D: dir } });
}

/** One line for each entry: everything that must survive a remount. */
export async function treeOf(dir: string): Promise<string[]> {
  const xattrs = await xattrsBelow(dir);
  const lines: string[] = [];
  const visit = async (at: string): Promise<void> => {
    const stat = await fs.lstat(at, { bigint: true });
    const name = path.relative(dir, at);
    const content = stat.isFile() ? createHash("sha256").update(await fs.readFile(at)).digest("hex").slice(0, 16)
      : stat.isSymbolicLink() ? await fs.readlink(at) : "";
    lines.push([
      name, stat.mode.toString(8), stat.uid, stat.gid, stat.nlink, stat.isDirectory() ? "-" : stat.size, stat.rdev,
      stat.isDirectory() ? "-" : stat.blocks, stat.mtimeNs, stat.ctimeNs, content, xattrs.get(at) ?? "",
    ].join(" "));
    if (!stat.isDirectory()) return;
    for (const child of (await fs.readdir(at)).sort()) await visit(path.join(at, child));
  };
  await visit(dir);
  return lines;
}

/** By path: "name=value name=value", of what has some. */
async function xattrsBelow(dir: string): Promise<Map<string, string>> {
  const all = await must("getfattr", ["-R", "-P", "-h", "-d", "-m", "^(user|trusted)\\.", "--absolute-names", dir]);
  return new Map(all.trim().split("\n\n").map((block) => {
    const [name, ...values] = block.split("\n");
    return [name!.replace("# file: ", ""), values.join(" ")] as const;
  }));
}
