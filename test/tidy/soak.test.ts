// npm run soak: what it is told, and that the test files it runs are there.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";

import { projectDir } from "./sources";

function soak(...words: string[]): { status: number | null; stdout: string } {
  return spawnSync(process.execPath, [path.join(projectDir, "dist-test/soak.js"), ...words], { encoding: "utf8" });
}

test.each([
  [[], /--minutes is to say how long/], [["--minutes", "0"], /--minutes is to say/], [["--minutes", "1", "--seed", "x"], /--seed is no whole number/],
  [["--minutes", "1", "--only", "fuzz,nothing"], /names what is not there: nothing/], [["--hours", "1"], /Unknown option/],
])("%j is refused with the usage", (words, why) => {
  const { status, stdout } = soak(...words);
  expect([status, stdout]).toEqual([2, expect.stringMatching(why)]);
  expect(stdout).toContain("usage: npm run soak -- --minutes N");
});

test("every test file that it runs is there", () => {
  const text = readFileSync(path.join(projectDir, "test/soak.ts"), "utf8");
  const files = [...text.matchAll(/"([a-z]+\/[a-z-]+)"/g)].map((match) => match[1]!);
  expect(files.length).toBeGreaterThan(7);
  expect(files.filter((file) => !existsSync(path.join(projectDir, `test/${file}.test.ts`)))).toEqual([]);
});
