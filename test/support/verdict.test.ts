import { filesToRunAgain, verdict, type Report } from "./verdict";

/** Each file with its passed and failed tests; "broken" is a file that failed as a whole. */
function report(files: Record<string, readonly [passed: number, failed: number] | "broken">): Report {
  const results = Object.entries(files).map(([name, counts]) => {
    const [passed, failed] = counts === "broken" ? [2, 0] : counts;
    const assertionResults = [...Array(passed).fill({ status: "passed" }), ...Array(failed).fill({ status: "failed" })] as { status: string }[];
    return { name: `/x/dist-test/${name}.test.js`, status: failed > 0 || counts === "broken" ? "failed" : "passed", assertionResults };
  });
  const count = (wanted: string): number => results.flatMap((one) => one.assertionResults).filter(({ status }) => status === wanted).length;
  return {
    numPassedTests: count("passed"), numFailedTests: count("failed"),
    numRuntimeErrorTestSuites: Object.values(files).filter((counts) => counts === "broken").length, testResults: results,
  };
}

const names = (files: string[]): string[] => files.map((file) => file.replace(/^.*dist-test\/(.*)\.test\.js$/, "$1"));

test("run again is what works with the kernel beside others, and no more than three files", () => {
  expect(names(filesToRunAgain(report({ "mounted/pinned": "broken", "cli/demo": [3, 1], "volume/fsck": [5, 0] })))).toEqual(["mounted/pinned", "cli/demo"]);
  expect(filesToRunAgain(report({ "mounted/pinned": [3, 0] }))).toEqual([]);
  expect(filesToRunAgain(report({ "mounted/pinned": [3, 1], "volume/fsck": [5, 1] }))).toEqual([]);
  for (const name of ["mounted/histories-image", "mounted/activation-races", "mounted/restarts", "mounted/blockview-deaths", "mounted/noleak", "native/restarts", "native/sanitized-thread"]) {
    expect(filesToRunAgain(report({ [name]: [3, 1] }))).toEqual([]);
  }
  expect(filesToRunAgain(report({ "mounted/a": [1, 1], "mounted/b": [1, 1], "mounted/c": [1, 1], "mounted/d": [1, 1] }))).toEqual([]);
});

test("what passes alone counts as passed, what fails again as failed, and guests count as well", () => {
  const guests = report({ "guests/life": [10, 0] });
  const first = report({ "mounted/pinned": "broken", "cli/demo": [3, 1], "volume/fsck": [5, 0] });
  expect(verdict([first, guests])).toEqual({ passed: 20, failed: 2 });
  expect(verdict([first, guests], report({ "mounted/pinned": [2, 0], "cli/demo": [4, 0] }))).toEqual({ passed: 21, failed: 0 });
  expect(verdict([first, guests], report({ "mounted/pinned": [2, 0], "cli/demo": [3, 1] }))).toEqual({ passed: 20, failed: 1 });
  expect(verdict([first, guests], report({ "mounted/pinned": "broken", "cli/demo": [4, 0] }))).toEqual({ passed: 21, failed: 1 });
});
