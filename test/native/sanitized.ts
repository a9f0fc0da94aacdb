// The data plane's and the keeper's suites once more, on programs built with a sanitizer: fake.ts fails a test in whose log
// it reports something. Each sanitizer has a test file of its own, so that they run side by side.

import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(__dirname, "../..");
/** Where threads meet. */
export const threaded = ["io", "readers", "swap", "restarts", "partner", "durable"];
/** And where one waits for a process, or a device fails. */
export const all = [...threaded, "life", "faults"];

/** `sanitize`: as -fsanitize= takes it. */
export function testSanitized(sanitize: string, names: readonly string[]): void {
  const suites = names.map((name) => `dist-test/native/${name}.test.js`);
  test(`native programs: no report of a sanitizer: ${sanitize}`, () => {
    // One at a time in this checkout: another run of the tests may be at it.
    const built = run("flock", [join(root, "native/Makefile"), "make", "-s", "-j2", "-C", "native", `SANITIZE=${sanitize}`, "programs"]);
    expect(built).toMatchObject({ status: 0 });
    const jest = join(root, "node_modules/jest/bin/jest.js");
    const tested = run(process.execPath, [jest, "--runInBand", ...suites], {
      SWAPFS_NATIVE_BUILD: `native/build-${sanitize}`, TSAN_OPTIONS: `suppressions=${join(root, "native/tsan.supp")}`,
      SWAPFS_INNER_RUN: "1",
    });
    expect(tested.said).toContain(`${suites.length} passed, ${suites.length} total`);
    expect(tested.status).toBe(0);
  }, 900_000);
}

function run(command: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): { status: number | null; said: string } {
  const ran = spawnSync(command, args, { cwd: root, encoding: "utf8", env: { ...process.env, ...environment } });
  return { status: ran.status, said: `${ran.stdout}${ran.stderr}` };
}
