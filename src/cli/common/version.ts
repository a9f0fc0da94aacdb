// The version, from package.json beside dist/.

import { readFileSync } from "node:fs";
import { join } from "node:path";

export const projectRoot = join(__dirname, "..", "..", "..");

export function packageVersion(): string {
  const parsed = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8")) as { version: string };
  return parsed.version;
}
