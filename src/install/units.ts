// systemd units from /etc/swapfs.conf: a mount for each volume; for each swapfile a service that makes it when it is missing, and a swap.

import { UserError, exitCode, messageOf } from "../base/errors";
import { parseByteLength } from "../base/units";

export const configFile = "/etc/swapfs.conf";

/** What a section may say. [/mnt/swap] with a source is a volume, [/mnt/swap/a] with a size a swapfile. */
export const keys = {
  source: "of a volume: a block device by a lasting name, an image, or a directory",
  options: "of a volume: as in fstab(5)",
  size: "of a swapfile: its length when it is made, for example 8G; one that is there stays as it is",
  priority: "of a swapfile: from 0 to 32767, the higher is used first",
} as const;
type Section = Partial<Record<keyof typeof keys, string>>;

/**
 * Units by name; a name in a folder (swap.target.wants/a.swap) stands for a link to that unit. `command`: swapfs, by its whole path.
 * A section that cannot be read has no unit, and one of `problems` says why: a machine boots with the swap of all the others.
 */
export function unitsOf(config: string, command: string): { units: Map<string, string>; problems: string[] } {
  const units = new Map<string, string>();
  const { sections, problems } = sectionsOf(config);
  for (const [path, section] of sections) {
    const add = (name: string, target: string, text: string): void => void units.set(name, text).set(`${target}.wants/${name}`, "");
    if (section.source !== undefined) add(`${unitName(path)}.mount`, "local-fs.target", mountUnit(path, section.source, section.options));
    else {
      add(`${unitName(path)}.swap`, "swap.target", swapUnit(path, section.priority));
      units.set(makerOf(path), makeUnit(path, section.size!, command));
    }
  }
  return { units, problems };
}

const head = (description: string): string => `# Made by swapfs-generator.
[Unit]
Description=${description}
Documentation=man:swapfs.conf(5)
SourcePath=${configFile}
`;

/** nofail: a boot goes on without it, as it would without a swap partition. */
function mountUnit(path: string, source: string, options: string | undefined): string {
  return `${head(`swapfs on ${path}`)}
[Mount]
What=${specifiers(source)}
Where=${specifiers(path)}
Type=swapfs
Options=${["nofail", ...(options ? [specifiers(options)] : [])].join(",")}
`;
}

function swapUnit(path: string, priority: string | undefined): string {
  return `${head(`swap on ${path}`)}Requires=${makerOf(path)}
After=${makerOf(path)}

[Swap]
What=${specifiers(path)}
Options=nofail
${priority === undefined ? "" : `Priority=${priority}\n`}`;
}

function makeUnit(path: string, size: string, command: string): string {
  return `${head(`swapfile ${path}`)}DefaultDependencies=no
RequiresMountsFor=${quoted(path)}
ConditionPathExists=!${specifiers(path)}
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=oneshot
ExecStart=${quoted(command)} create ${quoted(path)} --size ${quoted(size)}
`;
}

function makerOf(path: string): string {
  return `swapfs-create-${unitName(path)}.service`;
}

/** As systemd-escape(1) --path: "/" is "-", and whatever might be taken for something else is \xNN. */
function unitName(path: string): string {
  const bytes = [...Buffer.from(path.slice(1))];
  return bytes.map((byte, index) => {
    const character = String.fromCharCode(byte);
    if (character === "/") return "-";
    return /[\w:]/.test(character) || (character === "." && index > 0) ? character : `\\x${byte.toString(16).padStart(2, "0")}`;
  }).join("");
}

function specifiers(text: string): string {
  return text.replaceAll("%", "%%");
}

function quoted(path: string): string {
  return `"${specifiers(path).replace(/["\\]/g, "\\$&").replaceAll("$", "$$$$")}"`;
}

const wrong = (what: string): UserError => new UserError(exitCode.usage, what);

/** A problem names the line, or the section. */
function sectionsOf(config: string): { sections: Map<string, Section>; problems: string[] } {
  const sections = new Map<string, Section>();
  const problems: string[] = [];
  const unusable = new Set<string>();
  let path: string | undefined;
  config.split("\n").forEach((line, index) => {
    const text = line.trim();
    if (text === "" || /^[#;]/.test(text)) return;
    try {
      const header = /^\[(.+)\]$/.exec(text)?.[1];
      if (header === undefined) readLine(text, path === undefined ? undefined : sections.get(path)!);
      else {
        path = header;
        const twice = sections.has(path);
        if (!twice) sections.set(path, {});
        if (twice) throw wrong(`[${path}] is there twice`);
        if (!/^(\/(?!\.{1,2}(\/|$))[^/]+)+$/.test(path)) throw wrong(`[${path}] is to be the whole path of a mountpoint or a swapfile`);
      }
    } catch (error) {
      problems.push(`cannot read ${configFile}, line ${index + 1}: ${messageOf(error)}`);
      if (path !== undefined) unusable.add(path);
    }
  });
  for (const [name, { source, options, size, priority }] of sections) {
    if (unusable.has(name)) continue;
    const volume = source !== undefined && size === undefined && priority === undefined;
    const swapfile = size !== undefined && source === undefined && options === undefined;
    if (volume || swapfile) continue;
    problems.push(`cannot read ${configFile}: [${name}] needs a source (with options), as a volume, or a size (with priority), as a swapfile`);
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
  if (key === "priority" && !/^\d{1,5}$/.test(value!)) throw wrong(`"${value}" is no priority from 0 to 32767`);
  section[key as keyof Section] = value!;
}
