// Random histories of every changing operation agree with a naive filesystem, through restarts, with the volume running
// full in between: what fails has changed nothing.

import { randomFrom } from "../volume/random";
import { opcodes } from "#src/wire/opcodes";
import { decodeDirents } from "#src/wire/dirent";
import * as model from "../support/fs-model";
import { OpsFixture } from "../support/ops-fixture";

const page = 4096;
const histories = 50;
/** The same ones at every run, but for `npm run soak`. */
const firstSeed = Number(process.env["SWAPFS_FIRST_SEED"] ?? 0);
const steps = 150;

class History {
  f = new OpsFixture({ pages: 2048 });
  readonly root = model.newDirectory();
  readonly inos = new Map<model.ModelNode, number>([[this.root, 1]]);
  readonly random: (below: number) => number;

  constructor(seed: number) {
    this.random = randomFrom(seed);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random(list.length)]!;
  }

  nodes(): model.ModelNode[] {
    const found: model.ModelNode[] = [];
    const visit = (node: model.ModelNode): void => {
      if (!found.includes(node)) found.push(node);
      if (node.kind === "directory") for (const child of node.entries.values()) visit(child);
    };
    visit(this.root);
    return found;
  }

  directory(): model.ModelDirectory {
    return this.pick(this.nodes().filter((node) => node.kind === "directory"));
  }

  file(): model.ModelFile | undefined {
    const files = this.nodes().filter((node) => node.kind === "file");
    return files.length > 0 ? this.pick(files) : undefined;
  }

  name(): string {
    return `n${this.random(8)}`;
  }

  ino(node: model.ModelNode): number {
    return this.inos.get(node)!;
  }

  /** Small and large, aligned and not. */
  offset(): number {
    return this.pick([0, 1, 100, page - 1, page, page + 1, 3 * page, 10 * page + 7, this.random(20 * page), 100 * page]);
  }

  length(): number {
    return this.pick([1, 10, page - 1, page, page + 1, 2 * page, 1 + this.random(5 * page), 200 * page + 3]);
  }
}

type Step = (h: History) => Promise<{ got: model.Result; expected: () => model.Result }>;

async function make(h: History, node: model.ModelNode, call: (dir: number, name: string) => Promise<{ error?: string | undefined; ino: number }>) {
  const dir = h.directory();
  const name = h.name();
  const { error, ino } = await call(h.ino(dir), name);
  const expected = (): model.Result => {
    if (dir.entries.has(name)) return "EEXIST";
    dir.entries.set(name, node);
    h.inos.set(node, ino);
    return undefined;
  };
  return { got: error, expected };
}

function entryIno(answer: { error?: string | undefined } | { nodeid: bigint }): { error?: string | undefined; ino: number } {
  return "nodeid" in answer ? { ino: Number(answer.nodeid) } : { error: (answer as { error?: string | undefined }).error, ino: 0 };
}

async function onFile(h: History, call: (ino: number) => Promise<model.Result>, change: (file: model.ModelFile) => void) {
  const file = h.file();
  if (!file) return { got: undefined, expected: () => undefined };
  return { got: await call(h.ino(file)), expected: () => void change(file) };
}

/** Whole pages, and the last bytes where they become the target's last; what cannot be cloned is the kernel's to copy. */
async function clone(h: History) {
  const [from, to] = [h.file(), h.file()];
  const [offsetIn, offsetOut] = [page * h.random(8), page * h.random(12)];
  const wanted = h.pick([1, page - 1, page, 3 * page + 5, 2 ** 40]);
  if (!from || !to || (from === to && Math.abs(offsetIn - offsetOut) < wanted)) return { got: undefined, expected: () => undefined };
  const answer = await h.f.call(opcodes.copyFileRange64, h.ino(from), {
    off_in: BigInt(offsetIn), nodeid_out: BigInt(h.ino(to)), off_out: BigInt(offsetOut), len: BigInt(wanted),
  });
  const expected = (): model.Result => {
    const there = Math.max(0, Math.min(wanted, from.data.length - offsetIn));
    const ends = offsetIn + there === from.data.length && offsetOut + there >= to.data.length;
    const size = ends ? there : there - (there % page);
    if (there > 0 && size === 0) return "EOPNOTSUPP";
    expect(Number((answer as { bytes_copied?: bigint }).bytes_copied)).toBe(size);
    if (size > 0) model.write(to, offsetOut, Buffer.from(from.data.subarray(offsetIn, offsetIn + size)));
    return undefined;
  };
  return { got: answer.error, expected };
}

const steps_: readonly Step[] = [
  (h) => make(h, model.newFile(0o644), async (dir, name) => entryIno(await h.f.call(opcodes.mknod, dir, { mode: 0o100644 }, { name }))),
  (h) => make(h, model.newFile(0o600), async (dir, name) => entryIno(await h.f.call(opcodes.mknod, dir, { mode: 0o100600 }, { name }))),
  (h) => make(h, model.newDirectory(), async (dir, name) => entryIno(await h.f.call(opcodes.mkdir, dir, { mode: 0o755 }, { name }))),
  (h) => make(h, { kind: "symlink", target: "t/u", links: 1 }, async (dir, name) => entryIno(await h.f.call(opcodes.symlink, dir, {}, { name, name2: "t/u" }))),
  async (h) => {
    const file = h.file();
    if (!file) return { got: undefined, expected: () => undefined };
    const made = await make(h, file, async (dir, name) => entryIno(await h.f.call(opcodes.link, dir, { oldnodeid: BigInt(h.ino(file)) }, { name })));
    return { got: made.got, expected: () => made.expected() ?? void (file.links += 1) };
  },
  async (h) => {
    const [dir, name, wantsDirectory] = [h.directory(), h.name(), h.random(2) === 0];
    const { error } = await h.f.call(wantsDirectory ? opcodes.rmdir : opcodes.unlink, h.ino(dir), {}, { name });
    return { got: error, expected: () => model.remove(dir, name, wantsDirectory) };
  },
  async (h) => {
    const [from, name, to, name2, flags] = [h.directory(), h.name(), h.directory(), h.name(), h.random(3)];
    const { error } = await h.f.call(opcodes.rename2, h.ino(from), { newdir: BigInt(h.ino(to)), flags }, { name, name2 });
    return { got: error, expected: () => model.rename(from, name, to, name2, flags) };
  },
  ...Array.from({ length: 3 }, (): Step => (h) => {
    const [offset, bytes] = [h.offset(), Buffer.alloc(h.length(), 1 + h.random(255))];
    return onFile(h, (ino) => h.f.write(ino, offset, bytes), (file) => model.write(file, offset, bytes));
  }),
  ...Array.from({ length: 2 }, (): Step => clone),
  (h) => {
    const size = h.offset() + h.random(3);
    return onFile(h, (ino) => h.f.truncate(ino, size), (file) => model.resize(file, size));
  },
  (h) => {
    const [mode, offset, length] = [h.pick([0, 1, 3, 16, 17]), h.offset(), h.pick([h.length(), h.length(), 900 * page])];
    return onFile(h, (ino) => h.f.fallocate(ino, mode, offset, length), (file) => model.fallocate(file, mode, offset, length));
  },
  (h) => {
    const mode = h.random(0o1000);
    return onFile(h, async (ino) => (await h.f.setattr(ino, { valid: 1, mode })).error, (file) => void (file.mode = mode));
  },
  (h) => {
    const [name, value] = [`user.${h.random(3)}`, String(h.random(1000))];
    const set = async (ino: number) => (await h.f.call(opcodes.setxattr, ino, { size: value.length }, { name, bytes: Buffer.from(value) })).error;
    return onFile(h, set, (file) => void file.xattrs.set(name, value));
  },
  async (h) => {
    if (h.random(3) === 0) h.f = new OpsFixture({}, h.f); // the control plane dies and is started again
    return { got: undefined, expected: () => undefined };
  },
];

/** The whole tree as it is read through the operations, to compare with the model's. */
async function compare(f: OpsFixture, ino: number, node: model.ModelNode): Promise<void> {
  const stat = await f.stat(ino);
  if (node.kind === "directory") {
    const names = decodeDirents((await f.ok(opcodes.readdir, ino, { size: 65536 })).bytes).map(({ name }) => name).filter((name) => !name.startsWith("."));
    expect(names.sort()).toEqual([...node.entries.keys()].sort());
    expect(stat.nlink).toBe(2 + [...node.entries.values()].filter((child) => child.kind === "directory").length);
    for (const [name, child] of node.entries) await compare(f, Number((await f.ok(opcodes.lookup, ino, {}, { name })).nodeid), child);
    return;
  }
  expect(stat.nlink).toBe(node.links);
  if (node.kind === "symlink") return expect((await f.ok(opcodes.readlink, ino)).bytes.toString()).toBe(node.target);
  expect([Number(stat.size), stat.mode]).toEqual([node.data.length, 0o100000 | node.mode]);
  expect((await f.read(ino, 0, node.data.length + 10)).equals(node.data)).toBe(true);
  expect([...f.volume.inode(ino)!.xattrs].map(([name, value]) => [name, value.toString()]).sort()).toEqual([...node.xattrs].sort());
}

let ranFull = 0;

test.each(Array.from({ length: histories }, (_, at) => firstSeed + at))("history with seed %d", async (seed) => {
  const h = new History(seed);
  const free = h.f.volume.statfs().freePages;
  let full = 0;
  for (let n = 0; n < steps; n += 1) {
    const { got, expected } = await h.pick(steps_)(h);
    if (got === "ENOSPC") full += 1;
    else expect([n, got]).toEqual([n, expected()]);
    if (n % 50 === 49 || got === "ENOSPC") await compare(h.f, 1, h.root);
  }
  await compare(h.f, 1, h.root);
  ranFull += Number(full > 0);
  h.f = new OpsFixture({}, h.f);
  await compare(h.f, 1, h.root);
  const owned = new Set<number>();
  for (const inode of h.f.volume.inodes()) {
    for (const { devicePage, count } of inode.extents) for (let n = 0; n < count; n += 1) owned.add(devicePage + n);
  }
  expect([h.f.volume.statfs().freePages, h.f.volume.warnings, full < steps]).toEqual([free - owned.size, [], true]);
  expect(h.f.volume.check().findings.filter(({ severity }) => severity === "error")).toEqual([]);
});

test("several of these histories ran full", () => {
  expect(ranFull).toBeGreaterThan(5);
});
