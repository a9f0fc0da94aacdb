// One suite of file operations on the native engine, on the fuse-native engine and on the host's ext4: the same is expected
// of all three.

import { promises as fs } from "node:fs";
import path from "node:path";

import { Cleanup } from "../support/mounted-cleanup";
import { selectedTargets, type Mounted, type Target } from "../support/mounted-targets";
import { attributeCases } from "./cases/attributes";
import type { Case, Place } from "./cases/case";
import { dataCases } from "./cases/data";
import { nameCases } from "./cases/names";
import { randomCases } from "./cases/random";
import { fullCases, spaceCases } from "./cases/space";
import { makeTree, treeOf } from "./cases/tree";

const roomy = 128 << 20;
const tight = 32 << 20;

describe.each(selectedTargets().map((target) => [target.name, target] as const))("%s", (_name, target) => {
  suite(target, roomy, [...dataCases, ...randomCases, ...nameCases, ...attributeCases, ...spaceCases]);
  suite(target, tight, fullCases);
  persistence(target);
});

function suite(target: Target, bytes: number, cases: readonly Case[]): void {
  const cleanup = new Cleanup();
  let mounted: Mounted;
  let count = 0;
  beforeAll(async () => {
    mounted = await target.mount(cleanup, bytes);
  });
  afterAll(() => cleanup.run());

  test.each(cases.map((each) => [each.name, each] as const))("%s", async (_title, each) => {
    count += 1;
    const place: Place = { dir: path.join(mounted.dir, `case-${count}`), target: target.name };
    await fs.mkdir(place.dir);
    await fs.chmod(place.dir, 0o777);
    expect(await each.run(place)).toEqual(each.differs?.[target.name]?.expect ?? each.expect);
    await fs.rm(place.dir, { recursive: true });
  });
}

function persistence(target: Target): void {
  test("a tree is the same after a remount", async () => {
    const cleanup = new Cleanup();
    try {
      const mounted = await target.mount(cleanup, roomy);
      await makeTree(mounted.dir);
      const before = await treeOf(mounted.dir);
      await mounted.remount();
      expect(await treeOf(mounted.dir)).toEqual(before);
      await mounted.remount();
      expect(await treeOf(mounted.dir)).toEqual(before);
      expect(before.length).toBeGreaterThan(30);
    } finally {
      await cleanup.run();
    }
  });
}
