// docs/refusals.md, and the table of README.md, show every reason with the words that the code produces.

import { readFileSync } from "node:fs";
import path from "node:path";

import { reasonText } from "#src/activation/texts";
import { samples, type Sample } from "../support/refusal-samples";

const read = (name: string): string => readFileSync(path.resolve(__dirname, "../..", name), "utf8");
const document = read("docs/refusals.md");

/** What README.md has between its markers; it may leave the table to docs/refusals.md. */
const inReadme = /<!-- refusals:begin -->\n([^]*?)<!-- refusals:end -->/.exec(read("README.md"))?.[1];

/** The row of the table, as it must stand there. */
function row([kind, { example, reason }]: [string, Sample]): string {
  const { text, kernel, remedy } = reasonText(reason);
  const message = [text, ...(kernel === "" ? [] : [`the kernel says: ${kernel}`]), `do: ${remedy}`].join("<br>");
  return `| ${kind} | ${example} | ${message} |`;
}

/** README.md's: the message alone. The kernel's words and the remedies are in docs/refusals.md. */
function shortRow([kind, { example, reason }]: [string, Sample]): string {
  return `| ${kind} | ${example} | ${reasonText(reason).text} |`;
}

test.each(Object.entries(samples))("docs/refusals.md: the row of %s", (kind, sample) => {
  expect(document.split("\n")).toContain(row([kind, sample]));
});

test("docs/refusals.md: no row of what does not exist any more", () => {
  const table = document.slice(document.indexOf("| reason |")).split("\n\n")[0]!;
  const rows = table.split("\n").slice(2);
  expect(rows).toEqual(Object.entries(samples).map(row));
});

test("README.md: a table between its markers has every reason, its example and its message, and no other", () => {
  const rows = (inReadme ?? "").split("\n").filter((line) => line.startsWith("|")).slice(2);
  expect(rows).toEqual(inReadme === undefined ? [] : Object.entries(samples).map(shortRow));
});

test("every sample is of the kind that it stands for", () => {
  for (const [name, { reason }] of Object.entries(samples)) {
    expect(name).toBe("layer" in reason && (reason.kind === "hole" || reason.kind === "shared") ? `${reason.kind} (${reason.layer})` : reason.kind);
  }
});
