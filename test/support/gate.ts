// What a refused file looks like from outside, in every place that says why; and files to try it with.

import { promises as fs } from "node:fs";
import path from "node:path";

import { statusOf } from "./mounted";
import { must, run, sh, swapfs } from "./mounted-run";
import { syscall } from "./mounted-syscall";

export interface ShownReason {
  readonly kind: string;
  readonly layer?: string;
  readonly ranges?: readonly { page: number; count: number }[];
  readonly text: string;
  readonly kernel: string;
  readonly remedy: string;
}

/** An allocated file with a swap header, mode 0600. */
export async function swapfile(mountpoint: string, name: string, size = "8M"): Promise<string> {
  const file = path.join(mountpoint, name);
  await sh(`fallocate -l ${size} "$F"; chmod 600 "$F"; mkswap -q "$F"`, { env: { F: file } });
  return file;
}

/** swapon(2) itself: swapon(8) looks at the file before. 0, or the errno's name; what is on is swapped off again. */
export async function trySwapon(file: string): Promise<number | string> {
  const { result } = await syscall("swapon", [file, 0x8000 | 10]);
  if (result === 0) await must("swapoff", [file]);
  return result;
}

export async function reasonsOf(file: string): Promise<ShownReason[]> {
  const done = await swapfs(["check", file, "--json"]);
  expect(done).toMatchObject({ status: 10, stderr: "" });
  return JSON.parse(done.stdout).reasons;
}

export async function expectAccepted(file: string): Promise<void> {
  expect(await swapfs(["check", file])).toMatchObject({ status: 0, stdout: expect.stringContaining("swapon would accept it") });
  expect(await trySwapon(file)).toBe(0);
  expect((await run("getfattr", ["-n", "user.swapfs.refused", file])).status).not.toBe(0);
}

/** Refused for exactly these kinds: by check (exit 10), by swapon(2) (EINVAL); and xattr, status and log give the same words. */
export async function expectRefused(mountpoint: string, file: string, kinds: readonly string[]): Promise<ShownReason[]> {
  const reasons = await reasonsOf(file);
  expect(reasons.map(({ kind, layer }) => (layer === "image" ? `${kind} (image)` : kind))).toEqual(kinds);
  const shown = (await swapfs(["check", file])).stdout;
  expect(await trySwapon(file)).toBe("EINVAL");
  const xattr = await must("getfattr", ["--only-values", "-n", "user.swapfs.refused", file]);
  const status = await statusOf(mountpoint);
  const log = await fs.readFile(path.join(status.runDir, "log"), "utf8");
  const refusal = status.refusals.filter((one: { path?: string }) => one.path === `/${path.basename(file)}`).at(-1);
  expect(refusal?.text).toBe(xattr);
  for (const { text, kernel, remedy } of reasons) {
    // The control plane knows no path of the file: what it says names FILE.
    const anywhere = remedy?.replaceAll(file, "FILE");
    for (const part of [text, kernel, remedy]) expect(shown).toContain(part);
    for (const place of [xattr, log]) for (const part of [text, kernel, anywhere]) expect(place).toContain(part);
  }
  return reasons;
}

/** The remedy that most reasons name: afterwards the file is accepted. */
export async function prepareAndExpectAccepted(file: string): Promise<void> {
  expect(await swapfs(["prepare", file])).toMatchObject({ status: 0 });
  await expectAccepted(file);
}

/** Where a page of the file lies in the image, in bytes. */
export async function imageOffset(file: string, page: number): Promise<number> {
  const { image } = JSON.parse(await must(process.execPath, [cliPath, "map", file, "--json"]));
  const piece = image.pieces.find((one: { offset: number; length: number }) => page * 4096 >= one.offset && page * 4096 < one.offset + one.length);
  return piece.image + page * 4096 - piece.offset;
}

const cliPath = path.resolve(__dirname, "../../dist/cli/main.js");
