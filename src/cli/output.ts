// Where output goes: results on stdout, what accompanies them on stderr, so that `--json | jq` always works.

export function print(line = ""): void {
  process.stdout.write(`${line}\n`);
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, (_key, item: unknown) => (typeof item === "bigint" ? Number(item) : item), 2)}\n`);
}

export function note(line: string): void {
  process.stderr.write(`swapfs: ${line}\n`);
}

export function warn(line: string): void {
  note(`warning: ${line}`);
}

/** Rows as columns, padded to the widest cell; numbers to the right. */
export function table(rows: readonly (readonly (string | number)[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, String(cell).length);
    });
  }
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return typeof cell === "number" ? String(cell).padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd(),
  );
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

  end(): void {
    if (this.#terminal && this.#last !== "") process.stderr.write("\r\x1b[K");
    this.#last = "";
  }
}

function withoutCount(text: string): string {
  return text.replace(/ +\d+ %$/, "");
}
