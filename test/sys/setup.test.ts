// The refusals of mount.sh's set-up; that it sets up is seen by every run of the tests.

import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

const script = path.join(__dirname, "../../mount.sh");

test("an unknown option of --setup is a usage error", () => {
  const { status, stderr } = spawnSync(script, ["--setup", "--everything"], { encoding: "utf8" });
  expect(status).toBe(2);
  expect(stderr).toContain("cannot read the option --everything: write --setup, --with-tests and --with-guests");
});

test("where there is no apt-get, what is missing is named", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-setup-"));
  for (const name of ["bash", "dirname", "readlink", "flock", "sort", "tr", "cat"]) {
    const found = ["/usr/bin", "/bin"].map((bin) => path.join(bin, name)).find((file) => fs.existsSync(file));
    fs.symlinkSync(found!, path.join(folder, name));
  }
  const { status, stderr } = spawnSync("/bin/bash", [script, "--setup"], { encoding: "utf8", env: { PATH: folder } });
  fs.rmSync(folder, { recursive: true });
  expect(status).toBe(2);
  expect(stderr).toMatch(/cannot install .*\bg\+\+ .*\bmake\b.*: there is no apt-get here/);
});
