// Man pages and completions say what --help says.

import { promises as fs } from "node:fs";
import path from "node:path";

import { commands } from "#src/cli/program";
import { completions } from "#src/install/completions";
import { manPages } from "#src/install/manpages";
import { withCleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { must, swapfs } from "../support/mounted-run";

const pages = manPages();
const completed = completions("/usr/local");
const [bash, zsh, fish] = [...completed.values()] as [string, string, string];
const names = commands.map(({ name }) => name);

/** The options that `--help` lists, long ones. */
function optionsIn(help: string): string[] {
  return [...help.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map((match) => match[1]!).sort();
}

function plain(page: string): string {
  return page.replace(/\\&/g, "").replaceAll("\\-", "-").replaceAll("\\e", "\\");
}

test.each(["", ...names])("swapfs %s: options, examples and exit codes", async (name) => {
  const { stdout } = await swapfs(name === "" ? ["--help"] : [name, "--help"]);
  const expected = optionsIn(stdout);
  const page = plain(pages.get(name === "" ? "swapfs.8" : `swapfs-${name}.8`)!);
  expect([...page.matchAll(/^\.TP\n\.B (?:-\w, )?(--[\w-]+)/gm)].map((match) => match[1]!).sort()).toEqual(expected);
  const words = (text: string): string[] => text.split(/\s+/);
  const after = stdout.slice(stdout.search(/^Examples?:/m)).replace(/^(Examples?|Exit codes):/gm, "");
  const inPage = new Set(words(page));
  expect(words(after).filter((word) => !inPage.has(word))).toEqual([]);
  expect(page).toMatch(/^\.SH EXIT CODES$/m);

  const begin = name === "" ? "*" : name;
  const line = (text: string, start: string): string => text.split("\n").find((one) => one.trim().startsWith(start)) ?? "";
  const listed = (text: string): string[] => [...new Set(text.match(/--[\w-]+/g) ?? [])].sort();
  expect(listed(line(bash, `${begin}) `)).filter((word) => name !== "" || word !== "--demo")).toEqual(expected);
  const ofZsh = name === "" ? zsh.split("\n").find((one) => one.startsWith("  _arguments"))! : line(zsh, `${name}) _arguments`);
  expect([...ofZsh.matchAll(/'(--[\w-]+)\[/g)].map((match) => match[1]!).sort()).toEqual(expected);
  const when = name === "" ? "'?__fish_use_subcommand'?" : `'__fish_seen_subcommand_from ${name}'`;
  expect([...fish.matchAll(new RegExp(`^complete -c swapfs -n ${when} .*?-l ([\\w-]+)`, "gm"))].map((match) => `--${match[1]!}`).sort()).toEqual(expected);
});

test("every command has its page and its name in the completions", () => {
  expect([...pages.keys()].sort()).toEqual(["mount.swapfs.8", "swapfs.8", "swapfs.conf.5", ...names.map((name) => `swapfs-${name}.8`)].sort());
  for (const { name, summary } of commands) {
    expect(plain(pages.get("swapfs.8")!)).toContain(`\n.B ${name}\n${summary}\n`);
    expect(fish).toContain(`-a ${name} -d `);
    expect(zsh).toContain(`'${name}:`);
  }
});

test("bash completes commands, options and choices, and leaves the rest to names of files", () =>
  withCleanup(async (cleanup) => {
    const file = path.join(await scratchDir(cleanup), "swapfs");
    await fs.writeFile(file, bash);
    const complete = async (...words: string[]): Promise<string[]> =>
      (await must("bash", ["-euc", 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _swapfs; printf "%s " "${COMPREPLY[@]-}"', file, ...words])).trim().split(/ +/);
    expect(await complete("swapfs", "un")).toEqual(["unpin"]);
    expect(await complete("swapfs", "--vers")).toEqual(["--version"]);
    expect(await complete("swapfs", "mount", "/dev/sdb1", "--fo")).toEqual(["--format", "--force", "--foreground"]);
    expect(await complete("swapfs", "bench", "me")).toEqual(["metadata"]);
    expect(await complete("swapfs", "check", "/mnt/sw")).toEqual([""]);
  }));
