// `mount --foreground`: it stays, its log is what its caller reads, and it goes on when nobody reads it any more.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import path from "node:path";

import { DeviceFaults } from "../support/faults";
import { ended, isMounted, killAndAwait, pidOf, umount } from "../support/mounted";
import { withCleanup, type Cleanup } from "../support/mounted-cleanup";
import { scratchDir, zramDevice } from "../support/mounted-devices";
import { run, sh, swapfsCommand, until } from "../support/mounted-run";
import { whileNobodyHas } from "../support/turns";

interface Foreground {
  readonly mnt: string;
  readonly command: ChildProcess;
  readonly said: () => string;
}

async function mounted(cleanup: Cleanup): Promise<Foreground> {
  const dir = await scratchDir(cleanup);
  const device = await zramDevice(cleanup, 128 << 20);
  const mnt = path.join(dir, "mnt");
  await fs.mkdir(mnt);
  // With faults that are none, a data plane says at its start that this is a test.
  const faults = await DeviceFaults.make(path.join(dir, "faults"));
  const [program, ...args] = whileNobodyHas("request timeouts", swapfsCommand(["mount", device, mnt, "--format", "--foreground"]));
  const command = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, SWAPFS_TEST_FAULTS: faults.file } });
  let said = "";
  command.stderr.on("data", (text: Buffer) => (said += text.toString()));
  cleanup.add(mnt, async () => {
    if (await isMounted(mnt)) await umount(mnt);
    await ended(mnt);
  });
  await until("it is mounted", () => isMounted(mnt) || command.exitCode !== null);
  expect([command.exitCode, said]).toEqual([null, expect.any(String)]);
  return { mnt, command, said: () => said };
}

const refused = async (file: string): Promise<void> => {
  await sh(`fallocate -l 1M ${file}; chmod 600 ${file}; mkswap -q ${file}; cp ${file} ${file}-shares`);
  expect((await run("swapon", ["-p", "10", file])).status).not.toBe(0);
};

test("the log goes to stderr, and Ctrl-C unmounts", () =>
  withCleanup(async (cleanup) => {
    const { mnt, command, said } = await mounted(cleanup);
    await refused(path.join(mnt, "a"));
    await until("the refusal is in the log", () => said().includes("shared with another file"));
    const over = once(command, "exit");
    process.kill(Number(await fs.readFile(`/proc/${command.pid}/task/${command.pid}/children`, "utf8")), "SIGINT"); // flock(1) stands before it
    expect(await over).toEqual([0, null]);
    expect(await isMounted(mnt)).toBe(false);
  }));

test("whoever reads the log ends: both planes go on, and others start in their place", () =>
  withCleanup(async (cleanup) => {
    const { mnt, command } = await mounted(cleanup);
    command.stderr!.destroy();
    await until("the control plane has started", async () => (await pidOf(mnt, "control plane")) !== undefined);
    const before = await pidOf(mnt, "control plane");
    await refused(path.join(mnt, "a"));
    await killAndAwait(mnt, "data plane");
    const after = await pidOf(mnt, "data plane");
    await refused(path.join(mnt, "b"));
    await sh(`dd if=/dev/urandom of=${mnt}/c bs=1M count=4 conv=fsync status=none`);
    expect([await pidOf(mnt, "control plane"), await pidOf(mnt, "data plane")]).toEqual([before, after]);
    await umount(mnt);
  }));
