// What `./mount.sh --install`, `./mount.sh --uninstall` and `npm run package` run, once everything is built.

import * as path from "node:path";
import { parseArgs } from "node:util";
import { UserError, exitCode, messageOf } from "../base/errors";
import { runRoot } from "../cli/common/mounted";
import { report } from "../cli/common/outcome";
import { projectRoot, readVersion } from "../sys/version";
import { installed } from "./files";
import { install, uninstall, type Outcome, type Place } from "./install";
import { buildPackage } from "./package";

const usage = "./mount.sh --install [--prefix P] [--destdir D] [--with-fuse-native], ./mount.sh --uninstall [--prefix P] [--destdir D], or npm run package";

function main([what, ...words]: readonly string[]): void {
  const { prefix, destdir, "with-fuse-native": withFuseNative } = readOptions(words);
  const place: Place = { prefix, destdir, runRoot };
  const { version, commit } = readVersion();
  if (what === "--install") {
    const files = installed({ from: projectRoot, prefix, node: process.execPath, withFuseNative });
    const done = install(files, place);
    const how = done.changed === 0 ? "was installed already" : `is installed: ${done.changed} of ${files.length} files written`;
    say(`swapfs ${version} (${commit}) ${how}, the command is ${path.join(destdir, prefix, "bin/swapfs")}`, done);
  } else if (what === "--uninstall") {
    say("swapfs is no longer installed", uninstall(place));
  } else if (what === "--package") {
    say(`${buildPackage(projectRoot, path.join(projectRoot, "dist"))} is made, install it with apt-get install and its path`);
  } else {
    throw usageError(`${what ?? "nothing"} is none of its words`);
  }
}

function readOptions(words: string[]) {
  try {
    const { values } = parseArgs({
      args: words,
      options: { prefix: { type: "string", default: "/usr/local" }, destdir: { type: "string", default: "" }, "with-fuse-native": { type: "boolean", default: false } },
    });
    if (!path.isAbsolute(values.prefix)) throw usageError(`--prefix ${values.prefix} is no absolute path`);
    return { ...values, prefix: path.resolve(values.prefix), destdir: values.destdir && path.resolve(values.destdir) };
  } catch (error) {
    throw error instanceof UserError ? error : usageError(messageOf(error));
  }
}

function usageError(what: string): UserError {
  return new UserError(exitCode.usage, `cannot install: ${what}, write ${usage}`);
}

function say(line: string, done?: Outcome): void {
  const lines = [
    line, ...(done && done.removed > 0 ? [`${done.removed} files removed`] : []),
    ...(done?.kept ?? []).map((folder) => `${folder} stays until what is mounted from it is unmounted; the next --install removes it`),
    ...(done?.left ?? []).map((name) => `${name} is left: it was changed since it was installed`),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

process.umask(0o022);
try {
  main(process.argv.slice(2));
} catch (error) {
  process.exitCode = report(error);
}
