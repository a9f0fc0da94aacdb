// Two that make an image of the same name at once.

import { closeSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { lockSource } from "#src/cli/common/flock";
import { makeImage } from "#src/cli/mount/volumefile";
import { projectDir, run } from "../support/mounted-run";

const dir = mkdtempSync(path.join(os.tmpdir(), "swapfs-make-"));
const bytes = 16 * 2 ** 20;

afterAll(() => rmSync(dir, { recursive: true }));

test.each(["missing", "empty"])("makeImage: a file that is %s becomes the image of one of two processes", async (state) => {
  const image = path.join(dir, state);
  if (state === "empty") writeFileSync(image, "");
  const module = path.join(projectDir, "dist/cli/mount/volumefile.js");
  const script = `require(process.argv[1]).makeImage(process.argv[2], ${bytes}).then((fd) => console.log(require("fs").fstatSync(fd).ino))`;
  const done = await Promise.all([1, 2].map(() => run(process.execPath, ["-e", script, module, image])));
  const [made, ...others] = done.filter(({ status }) => status === 0);
  expect([others, Number(made!.stdout), statSync(image).size]).toEqual([[], statSync(image).ino, bytes]);
  expect(readdirSync(dir).filter((name) => name.includes("making"))).toEqual([]);
});

test("makeImage: an empty file that somebody has locked stays as it is", async () => {
  const image = path.join(dir, "locked");
  writeFileSync(image, "");
  const { ino } = statSync(image);
  const fd = (await lockSource(image, 0))!;
  await expect(makeImage(image, bytes)).rejects.toThrow("somebody else made it at this moment");
  expect([statSync(image).ino, statSync(image).size]).toEqual([ino, 0]);
  closeSync(fd);
});
