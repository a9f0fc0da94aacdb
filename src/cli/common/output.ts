// Where output goes: results on stdout, what accompanies them on stderr, so that `--json | jq` always works.

export function print(line = ""): void {
  process.stdout.write(`${line}\n`);
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, (_key, item: unknown) => (typeof item === "bigint" ? Number(item) : item), 2)}\n`);
}

/** What a command came to: for a program, or in a line for a person. */
export function show(json: boolean | undefined, value: unknown, line: string): void {
  if (json) printJson(value);
  else print(line);
}

export function note(line: string): void {
  process.stderr.write(`swapfs: ${line}\n`);
}

export function warn(line: string): void {
  note(`warning: ${line}`);
}

/** A line that is rewritten in place on a terminal; elsewhere a line for each new step, not for each per cent. */
export class Progress {
  readonly #terminal = process.stderr.isTTY === true;
  #last = "";

  show(text: string): void {
    const changed = this.#terminal ? text !== this.#last : withoutCount(text) !== withoutCount(this.#last);
    this.#last = text;
    if (changed) process.stderr.write(this.#terminal ? `\r\x1b[K${text}` : `${withoutCount(text)}\n`);
  }

  /** A line that stays. */
  note(text: string): void {
    this.end();
    note(text);
  }

  end(): void {
    if (this.#terminal && this.#last !== "") process.stderr.write("\r\x1b[K");
    this.#last = "";
  }
}

function withoutCount(text: string): string {
  return text.replace(/ +\d+ %$/, "");
}
