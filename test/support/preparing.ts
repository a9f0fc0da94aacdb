// Files in a volume in memory that `prepare` has something to do for.

import { pageSize } from "#src/base/units";

import { forSeeds, type Random } from "../volume/random";
import type { OpsFixture } from "./ops-fixture";

/** A closed file with this content. */
export async function fileOf(f: OpsFixture, name: string, content: Buffer): Promise<number> {
  const { ino, fh } = await f.create(name);
  for (let at = 0; at < content.length; at += 1 << 20) await f.write(ino, at, content.subarray(at, at + (1 << 20)));
  await f.release(fh);
  return ino;
}

export function patterned(pages: number, seed = 1): Buffer {
  return Buffer.concat(Array.from({ length: pages }, (_, page) => Buffer.alloc(pageSize, 1 + ((page * 7 + seed) % 250))));
}

/** As a clone would be: `to` gets the extents of `from`, both are shared then. */
export function share(f: OpsFixture, from: number, to: number): void {
  const inode = f.volume.inode(from)!;
  const extents = [...inode.extents].map((extent) => ({ ...extent, state: "shared" as const }));
  const count = inode.extents.endPage;
  f.fs.commit([
    { kind: "set-extents", ino: from, filePage: 0, count, extents }, { kind: "set-extents", ino: to, filePage: 0, count, extents },
  ]);
}

/** Two files with the same contents, which lie in the same blocks. */
export async function clones(f: OpsFixture, content: Buffer): Promise<[a: number, b: number]> {
  const a = await fileOf(f, "a", content);
  const b = await fileOf(f, "b", Buffer.alloc(1));
  await f.truncate(b, content.length);
  share(f, a, b);
  return [a, b];
}

export async function forSeedsAsync(count: number, work: (random: Random) => Promise<void>): Promise<void> {
  const randoms: Random[] = [];
  forSeeds(count, (random) => void randoms.push(random));
  for (const random of randoms) await work(random);
}
