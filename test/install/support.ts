// A checkout of another version, which is not there: this one with another number.

import { promises as fs } from "node:fs";
import path from "node:path";

import { projectDir } from "../support/mounted-run";

/** Made in `dir`. */
export async function checkoutOf(version: string, dir: string): Promise<string> {
  const checkout = path.join(dir, `checkout-${version}`);
  await fs.mkdir(checkout);
  for (const name of ["dist", "native", "node_modules", "docs", "package-lock.json", "README.md", "CHANGELOG.md", "LICENSE"]) {
    await fs.symlink(path.join(projectDir, name), path.join(checkout, name));
  }
  const own = await fs.readFile(path.join(projectDir, "package.json"), "utf8");
  await fs.writeFile(path.join(checkout, "package.json"), own.replace(/"version": "[^"]+"/, `"version": "${version}"`));
  return checkout;
}

/** Files and links below `dir`, by their names from there on. */
export async function filesBelow(dir: string): Promise<string[]> {
  const names = await fs.readdir(dir, { recursive: true });
  const folders = await Promise.all(names.map(async (name) => (await fs.lstat(path.join(dir, name))).isDirectory()));
  return names.filter((_, index) => !folders[index]).sort();
}
