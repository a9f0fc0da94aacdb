// systemd units from /etc/swapfs.conf: a mount for each volume, and a service where swap grows by itself; for each swapfile a service that makes it
// when it is missing, and a swap.

import { configFile, sectionsOf } from "../cli/common/config";

/**
 * Units by name; a name in a folder (swap.target.wants/a.swap) stands for a link to that unit. `command`: swapfs, by its whole path.
 * A section that cannot be read has no unit, and one of `problems` says why: a machine boots with the swap of all the others.
 */
export function unitsOf(config: string, command: string): { units: Map<string, string>; problems: string[] } {
  const units = new Map<string, string>();
  const { sections, problems } = sectionsOf(config);
  for (const [path, section] of sections) {
    const add = (name: string, target: string, text: string): void => void units.set(name, text).set(`${target}.wants/${name}`, "");
    if (section.source !== undefined) {
      const mount = `${unitName(path)}.mount`;
      add(mount, "local-fs.target", mountUnit(path, section.source, section.options));
      if (section.auto !== undefined) add(`swapfs-auto-${unitName(path)}.service`, mount, autoUnit(path, mount, command));
    } else {
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

/** KillMode: what swaps on when memory is short goes on when its parent dies; a stop ends both, and leaves swap as it is. */
function autoUnit(path: string, mount: string, command: string): string {
  return `${head(`swap that grows by itself on ${path}`)}BindsTo=${mount}
After=${mount}

[Service]
ExecStart=${quoted(command)} auto ${quoted(path)} --config ${configFile}
KillMode=process
OOMPolicy=continue
Restart=on-failure
SuccessExitStatus=130
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
