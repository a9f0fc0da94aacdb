// The project's own source files, for the tests that hold its style.

import { readFileSync, readdirSync, statSync } from "node:fs";
import path from "node:path";

export const projectDir = path.resolve(__dirname, "../..");

export interface SourceFile {
  /** from the project's directory on, "src/base/assert.ts" */
  readonly name: string;
  readonly text: string;
}

/** Files below `folder` whose names end with one of `endings`; build output is not looked at. */
export function sourceFiles(folder: string, ...endings: string[]): SourceFile[] {
  const found: SourceFile[] = [];
  const visit = (name: string): void => {
    const full = path.join(projectDir, name);
    if (statSync(full).isDirectory()) {
      if (path.basename(name) === "build") return;
      for (const child of readdirSync(full).sort()) visit(path.join(name, child));
    } else if (endings.some((ending) => name.endsWith(ending))) {
      found.push({ name, text: readFileSync(full, "utf8") });
    }
  };
  visit(folder);
  return found;
}

/** Comments out, so that prose about a rule does not break it; lines keep their numbers. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " ")).replace(/(^|\s)\/\/.*$/gm, "$1");
}

/** "src/a.ts:12" of every match of `pattern` in the code of `files`. */
export function places(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.flatMap(({ name, text }) =>
    withoutComments(text).split("\n").flatMap((line, index) => (pattern.test(line) ? [`${name}:${index + 1}: ${line.trim()}`] : [])));
}
