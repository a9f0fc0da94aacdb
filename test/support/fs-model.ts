// A filesystem as naive as it can be: the oracle of the operations. Files are buffers, directories are maps.

export interface ModelFile {
  readonly kind: "file";
  data: Buffer;
  links: number;
  mode: number;
  readonly xattrs: Map<string, string>;
}

export interface ModelLink {
  readonly kind: "symlink";
  readonly target: string;
  links: number;
}

export interface ModelDirectory {
  readonly kind: "directory";
  readonly entries: Map<string, ModelNode>;
}

export type ModelNode = ModelFile | ModelLink | ModelDirectory;

export function newDirectory(): ModelDirectory {
  return { kind: "directory", entries: new Map() };
}

export function newFile(mode: number): ModelFile {
  return { kind: "file", data: Buffer.alloc(0), links: 1, mode, xattrs: new Map() };
}

/** Errno's name, or undefined when it was done. */
export type Result = string | undefined;

export function remove(directory: ModelDirectory, name: string, wantsDirectory: boolean): Result {
  const node = directory.entries.get(name);
  if (!node) return "ENOENT";
  if (wantsDirectory) {
    if (node.kind !== "directory") return "ENOTDIR";
    if (node.entries.size > 0) return "ENOTEMPTY";
  } else if (node.kind === "directory") return "EISDIR";
  directory.entries.delete(name);
  unlinked(node);
  return undefined;
}

export function rename(from: ModelDirectory, name: string, to: ModelDirectory, name2: string, flags: number): Result {
  const source = from.entries.get(name);
  const target = to.entries.get(name2);
  if (!source) return "ENOENT";
  if (flags === 2) {
    if (!target) return "ENOENT";
    if (contains(source, to) || contains(target, from)) return "EINVAL";
    from.entries.set(name, target);
    to.entries.set(name2, source);
    return undefined;
  }
  if (target && flags === 1) return "EEXIST";
  if (target === source) return undefined;
  if (target) {
    if (source.kind === "directory" && target.kind !== "directory") return "ENOTDIR";
    if (source.kind !== "directory" && target.kind === "directory") return "EISDIR";
    if (target.kind === "directory" && target.entries.size > 0) return "ENOTEMPTY";
  }
  if (contains(source, to)) return "EINVAL";
  if (target) unlinked(target);
  from.entries.delete(name);
  to.entries.set(name2, source);
  return undefined;
}

export function write(file: ModelFile, offset: number, bytes: Buffer): void {
  resize(file, Math.max(file.data.length, offset + bytes.length));
  bytes.copy(file.data, offset);
}

export function resize(file: ModelFile, size: number): void {
  const made = Buffer.alloc(size);
  file.data.copy(made);
  file.data = made;
}

export function fallocate(file: ModelFile, mode: number, offset: number, length: number): void {
  if ((mode & 1) === 0) resize(file, Math.max(file.data.length, offset + length));
  if ((mode & 18) !== 0) file.data.fill(0, Math.min(offset, file.data.length), Math.min(offset + length, file.data.length));
}

function contains(node: ModelNode, directory: ModelDirectory): boolean {
  if (node === directory) return true;
  return node.kind === "directory" && [...node.entries.values()].some((child) => contains(child, directory));
}

function unlinked(node: ModelNode): void {
  if (node.kind !== "directory") node.links -= 1;
}
