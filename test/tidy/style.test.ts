// House rules that a machine can hold.

import { readdirSync, existsSync, readFileSync } from "node:fs";
import path from "node:path";

import { places, projectDir, sourceFiles } from "./sources";

const source = sourceFiles("src", ".ts");
const tests = sourceFiles("test", ".ts");
const native = sourceFiles("native", ".cc", ".h");

const longestFile = 350;

test(`no file is longer than ${longestFile} lines`, () => {
  const long = [...source, ...tests, ...native]
    .map((file) => ({ name: file.name, lines: file.text.split("\n").length - 1 }))
    .filter((file) => file.lines > longestFile);
  expect(long).toEqual([]);
});

test("every file says at its head what it is for", () => {
  const silent = [...source, ...sourceFiles("native", ".h")].filter((file) => !/^(#![^\n]*\n)?(\/\/|\/\*)/.test(file.text));
  expect(silent.map((file) => file.name)).toEqual([]);
});

test("no default exports, no enum, no namespace, no private keyword", () => {
  const declarations = source.filter((file) => !file.name.endsWith(".d.ts"));
  expect(places(declarations, /^\s*export\s+default\b|^\s*(export\s+)?(const\s+)?enum\s|^\s*(export\s+)?namespace\s|^\s*private\s+(?!constructor)/)).toEqual([]);
});

test("no bare Error is thrown: a bug asserts, the world throws a typed error", () => {
  expect(places(source, /\bthrow new Error\(/)).toEqual([]);
});

test("no barrel files", () => {
  expect(source.filter((file) => path.basename(file.name) === "index.ts" || /^export \* from/m.test(file.text)).map((file) => file.name)).toEqual([]);
});

test("nothing is left for later, and nobody is logged to the console", () => {
  expect([...places(source, /\bconsole\.(log|error|debug)\(/), ...places([...source, ...native], /\b(TODO|FIXME|XXX)\b/)]).toEqual([]);
  expect([...source, ...native, ...tests.filter((file) => !file.name.startsWith("test/tidy/"))]
    .filter((file) => /\b(TODO|FIXME)\b/.test(file.text)).map((file) => file.name)).toEqual([]);
});

test("no test is skipped or runs alone", () => {
  expect(places(tests.filter((file) => !file.name.startsWith("test/tidy/")), /\b(test|it|describe)\.(skip|only|todo)\b|\bx(it|test|describe)\(/)).toEqual([]);
});

test("every folder of src has tests", () => {
  const folders = readdirSync(path.join(projectDir, "src"));
  const tested = (folder: string): boolean =>
    existsSync(path.join(projectDir, "test", folder)) && sourceFiles(path.join("test", folder), ".test.ts").length > 0;
  expect(folders.filter((folder) => !tested(folder))).toEqual([]);
});

test("dependencies are pinned to one version each", () => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(path.join(projectDir, "package.json"), "utf8")) as Record<string, object>;
  expect(Object.values({ ...dependencies, ...devDependencies }).filter((version) => !/^\d+\.\d+\.\d+$/.test(String(version)))).toEqual([]);
});

test("the README names every exit code, the CHANGELOG the version", () => {
  const readme = readFileSync(path.join(projectDir, "README.md"), "utf8");
  const { version } = JSON.parse(readFileSync(path.join(projectDir, "package.json"), "utf8")) as { version: string };
  for (const code of [0, 2, 10, 11, 12, 70]) expect(readme).toMatch(new RegExp(`^\\s*[|\`-]*\\s*\`?${code}\`?\\s*[|:,-]`, "m"));
  expect(readFileSync(path.join(projectDir, "CHANGELOG.md"), "utf8")).toContain(version);
});
