// Imports point one way (DESIGN.md, section 7): this table is the folder map, and a folder that is not in it fails.

import path from "node:path";

import { sourceFiles, withoutComments, type SourceFile } from "./sources";

const low = ["base", "wire", "volume", "activation", "namespace", "sys", "dataplane"];

const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  wire: ["base"],
  volume: ["base"],
  activation: ["base", "volume"],
  namespace: ["base", "volume"],
  sys: ["base"],
  dataplane: ["base", "volume", "activation", "sys"],
  blocks: low,
  ops: [...low, "blocks"],
  engine: [...low, "blocks", "ops"],
  report: ["base"],
  bench: [...low, "report"],
  cli: [...low, "blocks", "ops", "engine", "bench", "report"],
  install: ["base", "sys", "cli"],
};

/** The folders of src/cli: one for each group of commands. The table of commands above them loads all. */
const mayImportInCli: Readonly<Record<string, readonly string[]>> = {
  common: [],
  file: ["common"],
  swap: ["common", "file"],
  auto: ["common", "file", "swap"],
  status: ["common", "swap"],
  mount: ["common", "file", "swap", "status"],
  volume: ["common", "mount"],
  try: ["common", "swap", "status", "mount"],
};

/** Packages, each in the one place that needs it. */
const packageHome: Readonly<Record<string, RegExp>> = {
  debug: /^src\/base\/log\.ts$/,
  commander: /^src\/(cli|install)\//,
  "fs-ext": /^src\/(cli|sys)\//,
  "prom-client": /^src\/cli\/status\/exposition\.ts$/,
  echarts: /^src\/report\//,
  "fuse-native": /^src\/engine\/fuse-native\//,
};

const files = sourceFiles("src", ".ts");

function imports(file: SourceFile): string[] {
  const pattern = /(?:\bfrom\s+|\bimport\s+|\brequire\(\s*|\bimport\(\s*)"([^"]+)"/g;
  return [...withoutComments(file.text).matchAll(pattern)].map((match) => match[1]!);
}

function folderOf(name: string): string {
  return name.split("/")[1]!;
}

test("every folder of src is in the table", () => {
  expect([...new Set(files.map((file) => folderOf(file.name)))].filter((folder) => !(folder in mayImport))).toEqual([]);
});

test("a folder imports only from folders below it", () => {
  const wrong = files.flatMap((file) => imports(file).filter((to) => to.startsWith(".")).flatMap((to) => {
    const target = folderOf(path.join(path.dirname(file.name), to));
    const own = folderOf(file.name);
    return target === own || mayImport[own]?.includes(target) ? [] : [`${file.name} imports ${to}`];
  }));
  expect(wrong).toEqual([]);
});

test("a folder of src/cli imports only from folders below it", () => {
  const inFolders = files.filter((file) => /^src\/cli\/.*\//.test(file.name));
  const folder = (name: string): string | undefined => /^src\/cli\/([^/]+)\//.exec(name)?.[1];
  const wrong = inFolders.flatMap((file) => imports(file).filter((to) => to.startsWith(".")).flatMap((to) => {
    const target = path.join(path.dirname(file.name), to);
    const own = folder(file.name)!;
    const allowed = mayImportInCli[own]?.concat(own).includes(folder(target) ?? "") ?? false;
    return target.startsWith("src/cli/") && !allowed ? [`${file.name} imports ${to}`] : [];
  }));
  expect(wrong).toEqual([]);
});

test("a package is used in its one place", () => {
  const wrong = files.flatMap((file) => imports(file)
    .filter((to) => !to.startsWith(".") && !to.startsWith("node:"))
    .filter((to) => !packageHome[to]?.test(file.name))
    .map((to) => `${file.name} imports ${to}`));
  expect(wrong).toEqual([]);
});

test("files do not import each other in a circle", () => {
  const graph = new Map(files.map((file) => [file.name, imports(file)
    .filter((to) => to.startsWith("."))
    .map((to) => `${path.join(path.dirname(file.name), to)}.ts`)]));
  expect(circles(graph)).toEqual([]);
});

function circles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const state = new Map<string, "open" | "done">();
  const found: string[] = [];
  const visit = (name: string, trail: readonly string[]): void => {
    if (state.get(name) === "done") return;
    if (state.get(name) === "open") {
      found.push([...trail.slice(trail.indexOf(name)), name].join(" -> "));
      return;
    }
    state.set(name, "open");
    for (const next of graph.get(name) ?? []) visit(next, [...trail, name]);
    state.set(name, "done");
  };
  for (const name of graph.keys()) visit(name, []);
  return found;
}
