// Where systemd answers, a keeper is started in a scope of system.slice; elsewhere as it is. test/guests/boot has a real systemd.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

import { scope } from "#src/cli/mount/keeper";
import { projectDir } from "../support/mounted-run";

const start = { device: "/dev/sdb1", runDir: "/run/swapfs/8:17", mountpoint: "/mnt/my-swap" };
const searchPath = process.env["PATH"];
let folder: string;

beforeEach(() => (folder = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-scope-"))));
afterEach(() => {
  process.env["PATH"] = searchPath;
  fs.rmSync(folder, { recursive: true });
});

function systemctlThatExits(status: number): string {
  fs.writeFileSync(path.join(folder, "systemctl"), `#!/bin/sh\nexit ${status}\n`, { mode: 0o755 });
  fs.writeFileSync(path.join(folder, "systemd-escape"), '#!/bin/sh\necho "mnt-my\\\\x2dswap.mount $*"\n', { mode: 0o755 });
  process.env["PATH"] = `${folder}:${searchPath}`;
  fs.writeFileSync(path.join(folder, "private"), "");
  return path.join(folder, "private");
}

test("systemd answers: a scope of system.slice, named for the device, which ends behind the mount and before what it uses, and is not killed", () => {
  expect(scope(start, systemctlThatExits(0))).toEqual([
    "systemd-run", "--scope", "--quiet", "--collect", "--slice=system.slice", `--unit=swapfs-8:17-${process.pid}`,
    "--description=swapfs on /mnt/my-swap", "--property=DefaultDependencies=no",
    `--property=RequiresMountsFor="${projectDir}" "${process.execPath}"`, "--property=Before=mnt-my\\\\x2dswap.mount --path --suffix=mount /mnt/my-swap",
    "--property=KillSignal=SIGCONT", "--property=SendSIGKILL=no", "--property=TimeoutStopSec=15s", "--",
  ]);
});

test("no systemd, or one that does not answer: nothing is put in front", () => {
  expect(scope(start, path.join(folder, "none"))).toEqual([]);
  expect(scope(start, systemctlThatExits(1))).toEqual([]);
});
