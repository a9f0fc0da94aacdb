// The version of this code, from package.json, and the commit that it was built from.

import { readFileSync } from "node:fs";
import * as path from "node:path";
import { readText } from "./kernelfiles";

export const projectRoot = path.join(__dirname, "..", "..");

/** `git archive` puts the commit here (.gitattributes): a tarball has no .git for `npm run build` to ask. */
const archived = "$Format:%h$";

/** `commit`: "1a2b3c4", with "+" when the tree had changes of its own as it was built. */
export function readVersion(root = projectRoot): { version: string; commit: string } {
  const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { version: string };
  const built = readText(path.join(root, "dist", "commit"))?.trim();
  return { version, commit: built || (archived.startsWith("$") ? "unknown" : archived) };
}
