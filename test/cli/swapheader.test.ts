// A swap header is never written over what somebody else has in a file, unless --force says so.

import { promises as fs } from "node:fs";

import { imageUnderTest } from "../support/mounted-image";
import { must, swapfs } from "../support/mounted-run";

const { at } = imageUnderTest("128M");

const precious = Buffer.alloc(4 << 20, "precious");

test("prepare --mkswap: a file that holds something is left alone (12), with --force it gets its header, and that is said", async () => {
  await fs.writeFile(at("db"), precious);
  const refused = await swapfs(["prepare", at("db"), "--mkswap"]);
  expect([refused.status, refused.stdout, refused.stderr]).toEqual([12, "", expect.stringMatching(/holds something else, .*--force/)]);
  expect((await fs.readFile(at("db"))).equals(precious)).toBe(true);
  const forced = await swapfs(["prepare", at("db"), "--mkswap", "--force", "--json"]);
  expect([forced.status, JSON.parse(forced.stdout)]).toEqual([0, expect.objectContaining({ madeHeader: true })]);
  expect((await fs.readFile(at("db"))).subarray(4086, 4096).toString()).toBe("SWAPSPACE2");
});

test("prepare --mkswap: a blank file gets one without it, and another run has nothing to do", async () => {
  await must("fallocate", ["-l", "4M", at("blank")]);
  await fs.chmod(at("blank"), 0o600);
  expect((await swapfs(["prepare", at("blank"), "--mkswap"])).stdout).toMatch(/swap header written\n.*would accept it/);
  expect((await swapfs(["prepare", at("blank"), "--mkswap"])).stdout).toMatch(/nothing to do\n/);
  expect((await swapfs(["prepare", at("blank"), "--force"])).status).toBe(2);
});
