// docs/refusals.md shows every reason with the words that the code produces.

import { readFileSync } from "node:fs";
import path from "node:path";

import { reasonText } from "#src/activation/texts";
import { samples, type Sample } from "../support/refusal-samples";

const document = readFileSync(path.resolve(__dirname, "../../docs/refusals.md"), "utf8");

/** The row of the table, as it must stand there. */
function row([kind, { example, reason }]: [string, Sample]): string {
  const { text, kernel, remedy } = reasonText(reason);
  const message = [text, ...(kernel === "" ? [] : [`the kernel says: ${kernel}`]), `do: ${remedy}`].join("<br>");
  return `| ${kind} | ${example} | ${message} |`;
}

test.each(Object.entries(samples))("docs/refusals.md: the row of %s", (kind, sample) => {
  expect(document.split("\n")).toContain(row([kind, sample]));
});

test("docs/refusals.md: no row of what does not exist any more", () => {
  const table = document.slice(document.indexOf("| reason |")).split("\n\n")[0]!;
  const rows = table.split("\n").slice(2);
  expect(rows).toEqual(Object.entries(samples).map(row));
});

test("every sample is of the kind that it stands for", () => {
  for (const [name, { reason }] of Object.entries(samples)) {
    expect(name).toBe("layer" in reason && (reason.kind === "hole" || reason.kind === "shared") ? `${reason.kind} (${reason.layer})` : reason.kind);
  }
});
