// Man pages, made from the definitions that --help is made from; that of the configuration from its own.

import type { Command } from "commander";
import { configFile, keys } from "../cli/common/config";
import { commands, wholeProgram } from "../cli/program";
import { readVersion } from "../sys/version";

type Rows = readonly (readonly [term: string, description: string])[];

/** The pages, by name and section: "swapfs.8". */
export function manPages(): Map<string, string> {
  const program = wholeProgram();
  const own = (name: string): Command => program.commands.find((command) => command.name() === name)!;
  return new Map([
    ["swapfs.8", page(program, "a FUSE filesystem that hosts swapfiles", commands.map(({ name }) => `swapfs-${name}`))],
    ...commands.map(({ name, summary }) => [`swapfs-${name}.8`, page(own(name), summary, ["swapfs"])] as const),
    ["mount.swapfs.8", ".so man8/swapfs-mount.8\n"], ["swapfs.conf.5", configPage()],
  ]);
}

function page(command: Command, summary: string, others: readonly string[]): string {
  const help = command.createHelp();
  return text([
    ...title(command.parent === null ? "swapfs" : `swapfs-${command.name()}`, 8, summary),
    ".SH SYNOPSIS", `.B ${escape(help.commandUsage(command))}`,
    ".SH DESCRIPTION", escape(help.commandDescription(command)),
    ...items("ARGUMENTS", help.visibleArguments(command).map((one) => [help.argumentTerm(one), help.argumentDescription(one)])),
    ...items("OPTIONS", help.visibleOptions(command).map((one) => [help.optionTerm(one), help.optionDescription(one)])),
    ...items("COMMANDS", command.parent ? [] : commands.map((one) => [one.name, one.summary])),
    ...textAfter(command).flatMap((block) => {
      const [, name, body] = /^(Examples?|Exit codes):\s([^]*)$/.exec(block) ?? ["", "Notes", block];
      const written = escape(body!.replace(/^ {2}/gm, ""));
      return [`.SH ${name!.toUpperCase()}`, ...(/^ /m.test(body!) ? [".nf", written, ".fi"] : [written])]; // lines where they are indented
    }),
    ...seeAlso([...others, "mkswap", "swapon", "mount"]),
  ]);
}

function configPage(): string {
  return text([
    ...title("swapfs.conf", 5, "volumes and swapfiles that are there from boot on"),
    ".SH DESCRIPTION", escape(`${configFile} is read by a generator of systemd, at boot and at \`systemctl daemon-reload\`. A section is named by the whole path of a
mountpoint or of a swapfile. A volume is mounted; a swapfile is made when it is missing, and swapped on. A boot goes on without what fails. Lines that
begin with # or ; are comments.`),
    ...items("KEYS", Object.entries(keys)),
    ".SH EXAMPLE", ".nf", escape(`[/mnt/swap]
source = /dev/disk/by-partuuid/0a1b2c3d-01
auto = max=32G,keep-free=10%

[/mnt/swap/a]
size = 8G
priority = 10`), ".fi",
    ...seeAlso(["swapfs"]),
  ]);
}

function title(name: string, section: number, summary: string): string[] {
  return [`.TH ${name.toUpperCase()} ${section} "" "swapfs ${readVersion().version}" "System Administration"`, ".SH NAME", `${name} \\- ${escape(summary)}`];
}

function items(name: string, rows: Rows): string[] {
  return rows.length === 0 ? [] : [`.SH ${name}`, ...rows.flatMap(([term, description]) => [".TP", `.B ${escape(term)}`, escape(description)])];
}

function seeAlso(names: readonly string[]): string[] {
  return [".SH SEE ALSO", names.map((name) => `.BR ${name} (8)`).join(",\n")];
}

function text(lines: readonly string[]): string {
  return `${lines.join("\n")}\n`;
}

/** What `addHelpText("after", …)` has added, in blocks. */
function textAfter(command: Command): string[] {
  let whole = "";
  command.configureOutput({ writeOut: (written) => (whole += written) }).outputHelp();
  return whole.slice(command.helpInformation().length).trim().split(/\n{2,}/).filter((block) => block !== "");
}

/** No word of it is a request or an escape of roff's, and a hyphen is one that can be copied. */
function escape(written: string): string {
  return written.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^([.'])/gm, "\\&$1");
}
