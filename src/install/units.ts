// systemd units from /etc/swapfs.conf: a mount for each volume; for each swapfile a service that makes it when it is missing, and a swap.

import { UserError, exitCode } from "../base/errors";
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

/** Units by name; a name in a folder (swap.target.wants/a.swap) stands for a link to that unit. `command`: swapfs, by its whole path. */
export function unitsOf(config: string, command: string): Map<string, string> {
  const units = new Map<string, string>();
  for (const [path, section] of sectionsOf(config)) {
    const add = (name: string, target: string, text: string): void => void units.set(name, text).set(`${target}.wants/${name}`, "");
    if (section.source !== undefined) add(`${unitName(path)}.mount`, "local-fs.target", mountUnit(path, section.source, section.options));
    else {
      add(`${unitName(path)}.swap`, "swap.target", swapUnit(path, section.priority));
      units.set(makerOf(path), makeUnit(path, section.size!, command));
    }
  }
  return units;
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

/** Throws a UserError that names the line. */
function sectionsOf(config: string): Map<string, Section> {
  const sections = new Map<string, Section>();
  let section: Section | undefined;
  config.split("\n").forEach((line, index) => {
    const complain = (what: string): never => {
      throw new UserError(exitCode.usage, `cannot read ${configFile}, line ${index + 1}: ${what}`);
    };
    const text = line.trim();
    if (text === "" || /^[#;]/.test(text)) return;
    const header = /^\[(.+)\]$/.exec(text);
    const [, key, value] = /^(\w+)\s*=\s*(.+)$/.exec(text) ?? [];
    if (header) {
      const path = header[1]!;
      if (!/^(\/(?!\.{1,2}(\/|$))[^/]+)+$/.test(path)) complain(`[${path}] is to be the whole path of a mountpoint or a swapfile`);
      if (sections.has(path)) complain(`[${path}] is there twice`);
      sections.set(path, (section = {}));
    } else if (key === undefined || !(key in keys)) complain(`"${text}" is none of ${Object.keys(keys).join(", ")} = VALUE`);
    else if (!section) complain("a section is to begin first, as [/mnt/swap]");
    else section[key as keyof Section] = value!;
    if (key === "size") parseByteLength(value!, `size in ${configFile}`);
    if (key === "priority" && !/^\d{1,5}$/.test(value!)) complain(`"${value}" is no priority from 0 to 32767`);
  });
  for (const [path, { source, options, size, priority }] of sections) {
    const volume = source !== undefined && size === undefined && priority === undefined;
    const swapfile = size !== undefined && source === undefined && options === undefined;
    if (!volume && !swapfile) throw new UserError(exitCode.usage, `cannot read ${configFile}: [${path}] needs a source (with options), as a volume, or a size (with priority), as a swapfile`);
  }
  return sections;
}
