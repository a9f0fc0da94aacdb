// Text in columns.

/** Between two columns. */
export const gap = "  ";

/** Rows as columns, padded to the widest cell; numbers to the right. */
export function table(rows: readonly (readonly (string | number)[])[]): string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) => Math.max(...rows.map((row) => String(row[column] ?? "").length)));
  const padded = (cell: string | number, column: number): string =>
    typeof cell === "number" ? String(cell).padStart(widths[column]!) : cell.padEnd(widths[column]!);
  return rows.map((row) => row.map(padded).join(gap).trimEnd());
}
