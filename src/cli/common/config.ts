// /etc/swapfs.conf: volumes, swapfiles, and swap that grows by itself. Read by systemd's generator (src/install) and by `swapfs auto --config`.

import { UserError, exitCode, messageOf } from "../../base/errors";
import { parseByteLength } from "../../base/units";

export const configFile = "/etc/swapfs.conf";

/** What a section may say. [/mnt/swap] with a source is a volume, [/mnt/swap/a] with a size a swapfile. */
export const keys = {
  source: "of a volume: a block device by a lasting name, an image, or a directory",
  options: "of a volume: as in fstab(5)",
  auto: "of a volume: yes, or options of swapfs auto without their dashes, as max=32G,keep-free=10%; swap on it then grows and shrinks by itself",
  size: "of a swapfile: its length when it is made, for example 8G; one that is there stays as it is",
  priority: "of a swapfile: from 0 to 32767, the higher is used first",
} as const;
export type Section = Partial<Record<keyof typeof keys, string>>;

/** Of `swapfs auto`, by the names of its options. */
export const autoOptions = ["max", "keep-free", "chunk", "calm", "priority", "pressure"] as const;

/** "max=32G,chunk=1G"; undefined when it is none. */
export function parseAuto(text: string): Partial<Record<(typeof autoOptions)[number], string>> | undefined {
  if (text === "yes") return {};
  const pairs = text.split(",").map((pair) => /^\s*([\w-]+)\s*=\s*(\S+)\s*$/.exec(pair)?.slice(1));
  return pairs.every((pair) => pair && autoOptions.some((name) => name === pair[0])) ? Object.fromEntries(pairs as string[][]) : undefined;
}

const wrong = (what: string): UserError => new UserError(exitCode.usage, what);

/** A problem names the line, or the section. */
export function sectionsOf(config: string, file = configFile): { sections: Map<string, Section>; problems: string[] } {
  const sections = new Map<string, Section>();
  const problems: string[] = [];
  const unusable = new Set<string>();
  let path: string | undefined;
  config.split("\n").forEach((line, index) => {
    const text = line.trim();
    if (text === "" || /^[#;]/.test(text)) return;
    try {
      const closed = /^\[(.+)\]$/.exec(text)?.[1];
      const header = closed ?? /^\[([^\]]+)/.exec(text)?.[1];
      if (header === undefined) readLine(text, path === undefined ? undefined : sections.get(path)!);
      else {
        path = header;
        const twice = sections.has(path);
        if (!twice) sections.set(path, {});
        if (twice) throw wrong(`[${path}] is there twice`);
        if (closed === undefined) throw wrong(`"${text}" is to end with ]`);
        if (!/^(\/(?!\.{1,2}(\/|$))[^/]+)+$/.test(path)) throw wrong(`[${path}] is to be the whole path of a mountpoint or a swapfile`);
      }
    } catch (error) {
      problems.push(`cannot read ${file}, line ${index + 1}: ${messageOf(error)}`);
      if (path !== undefined) unusable.add(path);
    }
  });
  for (const [name, { source, options, auto, size, priority }] of sections) {
    if (unusable.has(name)) continue;
    const volume = source !== undefined && size === undefined && priority === undefined;
    const swapfile = size !== undefined && source === undefined && options === undefined && auto === undefined;
    if (volume || swapfile) continue;
    problems.push(`cannot read ${file}: [${name}] needs a source (with options, auto), as a volume, or a size (with priority), as a swapfile`);
    unusable.add(name);
  }
  // A swapfile would be made on whatever lies below the mountpoint.
  for (const name of sections.keys()) {
    const volume = [...unusable].find((one) => name.startsWith(`${one}/`));
    if (volume === undefined || unusable.has(name)) continue;
    problems.push(`cannot use ${file}: [${name}] lies in [${volume}], which cannot be read`);
    unusable.add(name);
  }
  for (const name of unusable) sections.delete(name);
  return { sections, problems };
}

/** Throws what is wrong with a line that is no header. */
function readLine(text: string, section: Section | undefined): void {
  const [, key, value] = /^(\w+)\s*=\s*(.+)$/.exec(text) ?? [];
  if (key === undefined || !(key in keys)) throw wrong(`"${text}" is none of ${Object.keys(keys).join(", ")} = VALUE`);
  if (section === undefined) throw wrong("a section is to begin first, as [/mnt/swap]");
  if (key === "size") parseByteLength(value!, "size");
  if (key === "auto" && parseAuto(value!) === undefined) throw wrong(`"${value}" is neither yes nor ${autoOptions.map((name) => `${name}=`).join(", ")}`);
  if (key === "priority" && !/^\d{1,5}$/.test(value!)) throw wrong(`"${value}" is no priority from 0 to 32767`);
  section[key as keyof Section] = value!;
}
