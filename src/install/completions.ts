// Completions for bash, zsh and fish, made from the definitions that --help is made from. Where no word fits, names of files are offered.

import type { Command, Option } from "commander";
import { commands, wholeProgram } from "../cli/program";

interface Completed {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly Option[];
  /** what an argument may be, where that is a choice */
  readonly choices: readonly string[];
}

/** Relative to PREFIX/share; zsh of Debian looks for those of packages elsewhere. */
export function completions(prefix: string): Map<string, string> {
  const program = wholeProgram();
  const all = commands.map(({ name, summary }): Completed => {
    const command = program.commands.find((one) => one.name() === name)!;
    return { name, summary, options: optionsOf(command), choices: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []) };
  });
  return new Map([
    ["bash-completion/completions/swapfs", bash(all, optionsOf(program))],
    [`zsh/${prefix === "/usr" ? "vendor-completions" : "site-functions"}/_swapfs`, zsh(all, optionsOf(program))],
    ["fish/vendor_completions.d/swapfs.fish", fish(all, optionsOf(program))],
  ]);
}

function optionsOf(command: Command): readonly Option[] {
  return command.createHelp().visibleOptions(command);
}

function words(options: readonly Option[]): string {
  return options.flatMap(({ short, long }) => [short, long]).filter((word) => word !== undefined).join(" ");
}

function takesValue({ required, optional }: Option): boolean {
  return required || optional;
}

function bash(all: readonly Completed[], global: readonly Option[]): string {
  return `# bash completion for swapfs
_swapfs() {
  local current=\${COMP_WORDS[COMP_CWORD]} options choices
  case \${COMP_WORDS[1]} in
${all.map(({ name, options, choices }) => `    ${name}) options="${words(options)}" choices="${choices.join(" ")}" ;;`).join("\n")}
    *) options="${words(global)} --demo" ;;
  esac
  if ((COMP_CWORD == 1)); then
    choices="${all.map(({ name }) => name).join(" ")} help"
  fi
  [[ $current != -* ]] || choices=$options
  mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$current")
}
complete -o default -F _swapfs swapfs
`;
}

function zsh(all: readonly Completed[], global: readonly Option[]): string {
  const quote = (text: string): string => text.replaceAll("'", "'\\''");
  const spec = (option: Option): string => {
    const description = quote(option.description.replace(/[[\]:\\]/g, "\\$&"));
    return [option.short, option.long].flatMap((word) => (word ? [`'${word}[${description}]${takesValue(option) ? ":value:_files" : ""}'`] : [])).join(" ");
  };
  const specs = (options: readonly Option[]): string => options.map(spec).join(" ");
  return `#compdef swapfs
local -a commands
commands=(
${all.map(({ name, summary }) => `  '${name}:${quote(summary.replaceAll(":", "\\:"))}'`).join("\n")}
)
if ((CURRENT == 2)); then
  _describe command commands
  _arguments ${specs(global)} '*:file:_files'
  return
fi
shift words
((CURRENT--))
case $words[1] in
${all.map(({ name, options, choices }) => `  ${name}) _arguments ${specs(options)} '*:${choices.length > 0 ? `what:(${choices.join(" ")})` : "file:_files"}' ;;`).join("\n")}
  *) _files ;;
esac
`;
}

function fish(all: readonly Completed[], global: readonly Option[]): string {
  const quote = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const line = (when: string, option: Option): string => [
    `complete -c swapfs -n ${quote(when)}`, ...(option.short ? [`-s ${option.short.slice(1)}`] : []), ...(option.long ? [`-l ${option.long.slice(2)}`] : []),
    ...(takesValue(option) ? ["-r"] : []), `-d ${quote(option.description)}`,
  ].join(" ");
  return [
    "# fish completion for swapfs",
    ...global.map((option) => line("__fish_use_subcommand", option)),
    ...all.flatMap(({ name, summary, options, choices }) => {
      const when = `__fish_seen_subcommand_from ${name}`;
      return [
        `complete -c swapfs -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`, ...options.map((option) => line(when, option)),
        ...(choices.length > 0 ? [`complete -c swapfs -n ${quote(when)} -a ${quote(choices.join(" "))}`] : []),
      ];
    }),
    "",
  ].join("\n");
}
