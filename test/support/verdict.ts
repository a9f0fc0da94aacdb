// What the gate makes of jest's reports. A test that works with the kernel beside others can fail for the machine's sake: its file
// is run once more, alone, before the gate refuses a change for it. What has its order of events from a seed, and what looks for lost
// data by chance, has no such excuse.

import fs from "node:fs";

/** Of jest's --json. */
export interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numRuntimeErrorTestSuites: number;
  readonly testResults: readonly { readonly name: string; readonly status: string; readonly assertionResults: readonly { readonly status: string }[] }[];
}

/** More files than this that fail are no accident. */
const againMax = 3;
const beside = /\/dist-test\/(mounted|bench|cli|install|native)\//;
const byChance = /histories|races|restarts|deaths|noleak|sanitized/;

/** The files to be run again; none when one of those that failed has no excuse, or too many failed. */
export function filesToRunAgain(report: Report): string[] {
  const failed = report.testResults.filter(({ status }) => status === "failed").map(({ name }) => name);
  return failed.length <= againMax && failed.every((file) => beside.test(file) && !byChance.test(file)) ? failed : [];
}

/** Tests of all reports; `again` takes the place of the same files' results in the first. A file that fails as a whole counts as one test. */
export function verdict(reports: readonly Report[], again?: Report): { passed: number; failed: number } {
  const all = again === undefined ? reports : [...reports, again];
  let passed = all.reduce((sum, report) => sum + report.numPassedTests, 0);
  let failed = all.reduce((sum, report) => sum + report.numFailedTests + report.numRuntimeErrorTestSuites, 0);
  const replaced = new Set(again?.testResults.map(({ name }) => name));
  for (const { name, status, assertionResults } of reports[0]?.testResults ?? []) {
    if (!replaced.has(name)) continue;
    const count = (wanted: string): number => assertionResults.filter((one) => one.status === wanted).length;
    passed -= count("passed");
    failed -= count("failed") || (status === "failed" ? 1 : 0);
  }
  return { passed, failed };
}

/** verdict.js again REPORT: the files to be run again. verdict.js count AGAIN|"" REPORT…: "PASSED FAILED". */
function main([what, first = "", ...rest]: readonly string[]): void {
  const read = (file: string): Report => JSON.parse(fs.readFileSync(file, "utf8")) as Report;
  if (what === "again") return console.log(filesToRunAgain(read(first)).join("\n"));
  const { passed, failed } = verdict(rest.filter((file) => fs.existsSync(file)).map(read), fs.existsSync(first) ? read(first) : undefined);
  console.log(`${passed} ${failed}`);
}

if (require.main === module) main(process.argv.slice(2));
