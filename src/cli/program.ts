// The table of commands. `run` reads the first argument, loads that command's module alone and lets commander do the rest.

import { Command, CommanderError } from "commander";
import { exitCode, type ExitCode } from "../base/errors";
import { readVersion } from "../sys/version";
import { usageError } from "./common/outcome";

interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  /** its module, which says what the command takes and does */
  readonly load: () => { define(command: Command): void };
}

export const commands: readonly CommandEntry[] = [
  { name: "mount", summary: "mount a directory, image file or block device as a volume", load: () => require("./mount/mount") as typeof import("./mount/mount") },
  { name: "umount", summary: "unmount a volume and end its processes", load: () => require("./mount/umount") as typeof import("./mount/umount") },
  { name: "create", summary: "make a swapfile: allocated, mode 0600, swap header written", load: () => require("./swap/create") as typeof import("./swap/create") },
  { name: "prepare", summary: "make a refused file acceptable, contents kept", load: () => require("./file/prepare") as typeof import("./file/prepare") },
  { name: "check", summary: "would swapon accept this file, and every reason why not", load: () => require("./file/check") as typeof import("./file/check") },
  { name: "pin", summary: "keep a file's blocks where they are, without swapon", load: () => require("./file/pin") as typeof import("./file/pin") },
  { name: "activate", summary: "serve a file by direct I/O of whole pages, past everything a filesystem does", load: () => require("./file/activate") as typeof import("./file/activate") },
  { name: "deactivate", summary: "make an activated file an ordinary one again", load: () => require("./file/deactivate") as typeof import("./file/deactivate") },
  { name: "swapon", summary: "swap on a file, with --block by its own blocks, with --loop through the daemon; say why when it is refused", load: () => require("./swap/swapon") as typeof import("./swap/swapon") },
  { name: "swapoff", summary: "undo swapon, whichever way it was", load: () => require("./swap/swapoff") as typeof import("./swap/swapoff") },
  { name: "auto", summary: "swap that grows and shrinks by itself, until Ctrl-C", load: () => require("./auto/auto") as typeof import("./auto/auto") },
  { name: "unpin", summary: "end a pin", load: () => require("./file/unpin") as typeof import("./file/unpin") },
  { name: "map", summary: "where a file lies on the device, and resume_offset= for hibernation", load: () => require("./file/map") as typeof import("./file/map") },
  { name: "status", summary: "processes, files, pins, swap areas, requests, refusals", load: () => require("./status/status") as typeof import("./status/status") },
  { name: "metrics", summary: "the counters of status for Prometheus", load: () => require("./status/metrics") as typeof import("./status/metrics") },
  { name: "fsck", summary: "check a volume, mounted or not", load: () => require("./volume/fsck") as typeof import("./volume/fsck") },
  { name: "grow", summary: "make a volume longer, mounted or not", load: () => require("./volume/grow") as typeof import("./volume/grow") },
  { name: "shrink", summary: "make a volume shorter, moving files out of what goes", load: () => require("./volume/shrink") as typeof import("./volume/shrink") },
  { name: "doctor", summary: "what works on this machine, and what to do about the rest", load: () => require("./status/doctor") as typeof import("./status/doctor") },
  { name: "pressure", summary: "fill memory beyond what may stay resident, and verify it", load: () => require("./try/pressure") as typeof import("./try/pressure") },
  { name: "demo", summary: "show the main job in about 30 seconds, verified, cleaned up", load: () => require("./try/demo") as typeof import("./try/demo") },
  { name: "bench", summary: "measure swap, activation, I/O and metadata beside a peer", load: () => require("./try/bench") as typeof import("./try/bench") },
];

/**
 * The argument list with the command spelled out: `SOURCE MOUNTPOINT` (as mount.sh hands them over) means `mount`, and
 * `--demo` alone means `demo`. A source that is named like a command is written ./NAME.
 */
export function withCommand(args: readonly string[]): string[] {
  const [first] = args;
  if (first === "mount" && args.includes("--demo")) return ["demo", ...args.slice(1).filter((arg) => arg !== "--demo")];
  if (first === undefined || first === "help" || commands.some((entry) => entry.name === first)) return [...args];
  if (/^(-h|--help|-V|--version)$/.test(first)) return [...args];
  if (args.includes("--demo")) return ["demo", ...args.filter((arg) => arg !== "--demo")];
  const words = args.filter((arg) => !arg.startsWith("-"));
  if (words.length >= 2 || words.some((word) => word.includes("/"))) return ["mount", ...args];
  return [...args];
}

/** Runs the command line and returns its exit code; throws what the command throws. */
export async function run(args: readonly string[]): Promise<ExitCode> {
  const given = withCommand(args);
  if (given.slice(1).some((word) => !word.startsWith("-"))) {
    const { otherVersionOf, runInstead } = require("./common/otherversion") as typeof import("./common/otherversion");
    const other = otherVersionOf(given.slice(1));
    if (other !== undefined) return runInstead(other, given);
  }
  const program = makeProgram(given);
  if (given.length === 0) {
    process.stderr.write(program.helpInformation());
    throw usageError("cannot start: no command given, begin with `swapfs --demo` or `swapfs SOURCE MOUNTPOINT`");
  }
  try {
    await program.parseAsync(given, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // commander has already written its message; --help and --version end here as well, with 0.
    return error.exitCode === 0 ? exitCode.done : exitCode.usage;
  }
  return (process.exitCode as ExitCode | undefined) ?? exitCode.done;
}

/** With every command's module loaded, for what is made from their definitions (src/install). */
export function wholeProgram(): Command {
  return makeProgram([], commands.map(({ name }) => name));
}

function makeProgram(args: readonly string[], wanted = args[0] === "help" ? args.slice(1, 2) : args.slice(0, 1)): Command {
  const program = new Command("swapfs");
  configure(program);
  program
    .description("A FUSE filesystem that hosts swapfiles: stock mkswap and swapon, and swap I/O at the speed of the device below.")
    .usage("SOURCE MOUNTPOINT | --demo | COMMAND ...")
    .version(versionText(args.includes("--json")), "-V, --version", "print the version and its commit; with --json as JSON")
    .helpCommand("help [command]", "help for a command")
    .addHelpText("after", topLevelExamples);
  for (const entry of commands) {
    const command = program.command(entry.name);
    if (wanted.includes(entry.name)) entry.load().define(command);
    else command.description(entry.summary);
  }
  for (const command of program.commands) configure(command);
  return program;
}

function versionText(json: boolean): string {
  const { version, commit } = readVersion();
  return json ? JSON.stringify({ version, commit }) : `${version} (${commit})`;
}

/** Errors come back as exceptions (exit codes are ours), in the shape of all other messages. */
function configure(command: Command): void {
  command.exitOverride();
  command.helpOption("-h, --help", "show this help");
  command.showHelpAfterError(`(swapfs ${command.name() === "swapfs" ? "" : `${command.name()} `}--help shows how)`);
  command.configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "swapfs: ")) });
}

const topLevelExamples = `
Examples:
  swapfs --demo                              see it work, verified, in about 30 seconds
  swapfs /srv/swap /mnt/swap                 a directory: the image swapfs.img in it is made when missing
  swapfs /dev/sdb1 /mnt/swap --format        a block device, for real use
  swapfs create /mnt/swap/a --size 8G --on   a swapfile, swapped on
  swapfs umount --swapoff /mnt/swap          swap off what is on, unmount, end everything

Exit codes: 0 done, 2 usage, 10 not activatable, 11 volume damaged, 12 mount failed (or another operation), 70 internal,
130 interrupted.`;
