// What an installation consists of, and where each file of it goes.

import { createHash } from "node:crypto";
import { lstatSync, readFileSync, readdirSync, statSync } from "node:fs";
import * as path from "node:path";
import { gzipSync } from "node:zlib";
import { nativeNames } from "../cli/status/machine";
import { statIfAny } from "../sys/kernelfiles";
import { readVersion } from "../sys/version";
import { completions } from "./completions";
import { manPages } from "./manpages";

/** A file, or a link with what it says. */
export type Installed = { readonly path: string } & ({ readonly bytes: Buffer; readonly mode: number } | { readonly link: string });

export interface Layout {
  /** the checkout: built */
  readonly from: string;
  readonly prefix: string;
  /** the node that the command is run with */
  readonly node: string;
  readonly withFuseNative: boolean;
}

interface Package {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** What is loaded of most packages, and their licences. */
const usual = /^(?!(test|example|docs)).*\.(js|cjs|json|node)$|^licen[cs]e/i;

/** Packages that load nothing of others, whatever they name to be built: of these, files that are loaded. A test loads all of an installation. */
const alone: Readonly<Record<string, RegExp>> = {
  "fs-ext": /^(fs-ext\.js|build\/Release\/fs_ext\.node|package\.json|LICENSE\.txt)$/,
  echarts: /^(dist\/(echarts|echarts\.min)\.js|dist\/package\.json|package\.json|LICENSE|NOTICE)$/,
  "fuse-shared-library-linux": /./, "fuse-shared-library-linux-arm": /./,
};

/** Started by their names: they name the node. */
const mainFile = "dist/cli/main.js";
const generatorFile = "dist/install/generator.js";

/** The folder with the code is named for its content: another version, or another build, never comes to lie in it. */
export function installed(layout: Layout): Installed[] {
  const { from, prefix, node } = layout;
  const code = codeOf(layout);
  const { version, commit } = readVersion(from);
  const hash = createHash("sha256").update(node);
  for (const [name, bytes] of code) hash.update(`\n${name} ${bytes.length}\n`).update(bytes);
  const folder = path.join(prefix, "lib/swapfs", `${version}-${commit}-${hash.digest("hex").slice(0, 8)}`);
  const ownNode = code.has("bin/node") ? path.join(folder, "bin/node") : node;
  const link = (name: string, to: string): Installed => ({ path: name, link: path.relative(path.dirname(name), path.join(folder, to)) });
  return [
    ...[...code].map(([name, bytes]) => file(path.join(folder, name), [mainFile, generatorFile].includes(name) ? withNode(bytes, ownNode) : bytes)),
    ...[...manPages()].map(([name, text]) => file(path.join(prefix, `share/man/man${name.at(-1)}/${name}.gz`), gzipSync(text, { level: 9 }))),
    ...[...completions(prefix)].map(([name, text]) => file(path.join(prefix, "share", name), Buffer.from(text))),
    ...documents(from).map((name) => file(path.join(prefix, "share/doc/swapfs", name), readFileSync(path.join(from, name)))),
    file(path.join(prefix, "share/doc/swapfs/copyright"), readFileSync(path.join(from, "LICENSE"))),
    // Last: until they are set, the commands are those of the version before.
    link(path.join(prefix, "bin/swapfs"), mainFile), link(path.join(sbin(), "mount.swapfs"), mainFile),
    link(path.join(prefix, "lib/systemd/system-generators/swapfs-generator"), generatorFile),
  ];
}

/** mount(8) looks nowhere else for its helpers. */
function sbin(): string {
  return lstatSync("/sbin").isSymbolicLink() ? "/usr/sbin" : "/sbin";
}

function file(name: string, bytes: Buffer): Installed {
  const program = bytes.subarray(0, 2).toString() === "#!" || bytes.subarray(0, 4).toString("latin1") === "\x7fELF";
  return { path: name, bytes, mode: program && !/\.(node|so[.\d]*)$/.test(name) ? 0o755 : 0o644 };
}

function withNode(main: Buffer, node: string): Buffer {
  return Buffer.from(main.toString("utf8").replace(/^#!.*/, `#!${node}`));
}

/** What runs, by its name below the folder of the version. */
function codeOf({ from, node, withFuseNative }: Layout): Map<string, Buffer> {
  const modules = packagesOf(from, withFuseNative)
    .flatMap((name) => below(path.join(from, "node_modules", name), alone[name] ?? usual).map((one) => `node_modules/${name}/${one}`));
  const names = [
    "package.json", "LICENSE", ...below(path.join(from, "dist"), /\.js$|^commit$/).map((name) => `dist/${name}`),
    ...nativeNames.map((name) => `native/build/${name}`), ...modules,
  ];
  const code = new Map(names.map((name) => [name, readFileSync(path.join(from, name))]));
  // The one that set-up has fetched, where the system's is too old: the checkout may go. And one that another user could replace: root will run it.
  if (node.startsWith(`${from}/`) || !isRoots(node)) code.set("bin/node", readFileSync(node));
  return code;
}

function isRoots(file: string): boolean {
  const uid = statIfAny(file)?.uid;
  return uid === undefined || (uid === 0 && (file === "/" || isRoots(path.dirname(file))));
}

/** package.json's dependencies, and theirs. */
function packagesOf(from: string, withFuseNative: boolean): string[] {
  const { packages } = JSON.parse(readFileSync(path.join(from, "package-lock.json"), "utf8")) as { packages: Record<string, Package> };
  const { dependencies, optionalDependencies } = packages[""]!;
  const found = new Set(Object.keys({ ...dependencies, ...(withFuseNative && optionalDependencies) }));
  for (const name of found) {
    const own = name in alone ? [] : Object.keys(packages[`node_modules/${name}`]?.dependencies ?? {});
    for (const other of own) if (!other.endsWith("-darwin")) found.add(other);
  }
  return [...found].sort();
}

function documents(from: string): string[] {
  return ["README.md", "CHANGELOG.md", ...below(path.join(from, "docs"), /\.(md|py|svg)$|^(grafana|bench)\.json$/).map((name) => `docs/${name}`)];
}

/** Names of the files below `folder`, in order. */
function below(folder: string, kept: RegExp): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  return names.filter((name) => kept.test(name) && statSync(path.join(folder, name)).isFile());
}
