// Puts an installation into place and takes it away again. A manifest says what was put there, with the content of each file: only that
// is changed or removed later.

import { createHash } from "node:crypto";
import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, realpathSync, renameSync, rmSync, rmdirSync, symlinkSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { UserError, exitCode } from "../base/errors";
import { codeLink } from "../cli/common/mounted";
import { ifAny, listFolder, readText } from "../sys/kernelfiles";
import { runTool } from "../sys/tools";
import type { Installed } from "./files";

interface Manifest {
  /** what each file or link held as it was put there, by its path below the destination */
  readonly files: Readonly<Record<string, string>>;
  /** made for them */
  readonly folders: readonly string[];
}

export interface Place {
  readonly prefix: string;
  /** what is put in front of every path; "" for this machine */
  readonly destdir: string;
  /** the folder of the run directories */
  readonly runRoot: string;
}

export interface Outcome {
  readonly changed: number;
  readonly removed: number;
  /** folders of versions before this one that mounts are served from */
  readonly kept: readonly string[];
  /** not removed: changed since they were put there */
  readonly left: readonly string[];
}

/** Adds what is missing or different, and then removes what a version before has left that no mount is served from. */
export function install(files: readonly Installed[], place: Place): Outcome {
  const before = readManifest(place) ?? { files: {}, folders: [] };
  const wanted = Object.fromEntries(files.map((one) => [one.path, digest(one)]));
  const different = files.filter(({ path: name }) => digestAt(place, name) !== wanted[name]);
  const strangers = different.map(({ path: name }) => name).filter((name) => !(name in before.files) && digestAt(place, name) !== undefined);
  if (strangers.length > 0) throw failed("install", `${strangers.map((name) => at(place, name)).join(", ")}: there already, and of no installation below ${place.prefix}: of another one (./mount.sh --uninstall --prefix THAT), or remove it first`);
  mkdirSync(at(place, "/"), { recursive: true });
  const folders = new Set(before.folders);
  for (const one of different) makeFolder(place, path.dirname(one.path), folders);
  writeManifest(place, { files: { ...before.files, ...wanted }, folders: [...folders] });
  for (const one of different) put(at(place, one.path), one);
  const used = served(place).map(({ code }) => code);
  const old = Object.entries(before.files).filter(([name]) => !(name in wanted));
  const kept = old.filter(([name]) => used.some((code) => name.startsWith(`${code}/`)));
  const left = take(place, old.filter((one) => !kept.includes(one)));
  writeManifest(place, { files: { ...Object.fromEntries(kept), ...wanted }, folders: removeEmpty(place, folders) });
  return {
    changed: different.length, removed: old.length - kept.length - left.length, left,
    kept: [...new Set(used)].filter((code) => kept.some(([name]) => name.startsWith(`${code}/`))).map((code) => at(place, code)),
  };
}

/** Throws a UserError while a mount is served from it; then nothing is changed. */
export function uninstall(place: Place): Outcome {
  const manifest = readManifest(place);
  if (!manifest) throw failed("uninstall", `${at(place, place.prefix)}: nothing of swapfs is installed there by ./mount.sh --install, name its --prefix`);
  const [first] = served(place);
  if (first) throw failed("uninstall", `${at(place, first.code)}: ${first.what} is served from it, run swapoff and umount first`);
  const files = Object.entries(manifest.files);
  const left = take(place, files);
  rmSync(manifestOf(place));
  removeEmpty(place, manifest.folders);
  return { changed: 0, removed: files.length - left.length, kept: [], left };
}

/** Mounts whose code lies below the installation: each run directory has a link to it (codeLink). */
function served(place: Place): { code: string; what: string }[] {
  const lib = ifAny(() => realpathSync(at(place, path.join(place.prefix, "lib/swapfs"))));
  return listFolder(place.runRoot).flatMap((name) => {
    const code = ifAny(() => readlinkSync(path.join(place.runRoot, name, codeLink)));
    if (lib === undefined || !code?.startsWith(`${lib}/`)) return [];
    // A keeper that lives has it locked (rundir.ts); one that was killed has left it.
    if (runTool("flock", ["--nonblock", path.join(place.runRoot, name), "true"]).code === 0) return [];
    const state = readText(path.join(place.runRoot, name, "state.json"));
    const what = state ? (JSON.parse(state) as { mountpoint: string }).mountpoint : path.join(place.runRoot, name);
    return [{ code: path.join(place.prefix, "lib/swapfs", path.relative(lib, code)), what }];
  });
}

/** Returns what is left, because it was changed. */
function take(place: Place, files: readonly (readonly [name: string, digest: string])[]): string[] {
  return files.filter(([name, was]) => {
    const is = digestAt(place, name);
    if (is === was) rmSync(at(place, name));
    return is !== undefined && is !== was;
  }).map(([name]) => at(place, name));
}

/** Returns those that are there still, since something else is in them. */
function removeEmpty(place: Place, folders: Iterable<string>): string[] {
  const deepestFirst = [...folders].sort().reverse();
  for (const folder of deepestFirst) ifAny(() => rmdirSync(at(place, folder)));
  return deepestFirst.filter((folder) => existsSync(at(place, folder)));
}

/** Whole, or not at all: a program that is running, or about to be started, is never changed below it. */
function put(target: string, one: Installed): void {
  const temporary = `${target}.swapfs-new`;
  rmSync(temporary, { force: true });
  if ("link" in one) symlinkSync(one.link, temporary);
  else writeFileSync(temporary, one.bytes, { mode: one.mode });
  renameSync(temporary, target);
}

function makeFolder(place: Place, folder: string, made: Set<string>): void {
  if (existsSync(at(place, folder))) return;
  makeFolder(place, path.dirname(folder), made);
  mkdirSync(at(place, folder), { mode: 0o755 });
  made.add(folder);
}

function digest(one: Installed): string {
  return "link" in one ? `-> ${one.link}` : createHash("sha256").update(one.bytes).digest("hex");
}

/** undefined: nothing is there. */
function digestAt(place: Place, name: string): string | undefined {
  const target = at(place, name);
  const stat = ifAny(() => lstatSync(target));
  if (stat === undefined) return undefined;
  if (stat.isSymbolicLink()) return `-> ${readlinkSync(target)}`;
  return stat.isFile() ? createHash("sha256").update(readFileSync(target)).digest("hex") : "a folder";
}

function at({ destdir }: Place, name: string): string {
  return path.join(destdir, name);
}

function manifestOf(place: Place): string {
  return at(place, path.join(place.prefix, "lib/swapfs/manifest.json"));
}

function readManifest(place: Place): Manifest | undefined {
  const text = readText(manifestOf(place));
  return text === undefined ? undefined : (JSON.parse(text) as Manifest);
}

function writeManifest(place: Place, manifest: Manifest): void {
  put(manifestOf(place), { path: "", bytes: Buffer.from(JSON.stringify(manifest, undefined, 1)), mode: 0o644 });
}

function failed(verb: string, why: string): UserError {
  return new UserError(exitCode.mountFailed, `cannot ${verb} ${why}`);
}
