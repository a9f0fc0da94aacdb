// The experiment of docs/dataplane.md, "FUSE over io_uring", builds and serves through both of its transports, so that it can
// be repeated on a kernel to come.

import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import path from "node:path";

import { Cleanup, withCleanup } from "../support/mounted-cleanup";
import { scratchDir, zramDevice } from "../support/mounted-devices";
import { must, projectDir, run, until } from "../support/mounted-run";
import { takesTurns } from "../support/turns";

const parameter = "/sys/module/fuse/parameters/enable_uring";

takesTurns("fuse parameters");

beforeAll(async () => {
  await must("flock", [path.join(projectDir, "native/Makefile"), "make", "-s", "-C", path.join(projectDir, "native"), "experiments"]);
}, 120_000);

/** Serves `device`, whose bytes from 1 MiB on are the file that is returned. */
async function served(cleanup: Cleanup, device: string, ...options: string[]): Promise<string> {
  const mountpoint = path.join(await scratchDir(cleanup), "mnt");
  await fs.mkdir(mountpoint);
  const program = path.join(projectDir, "native/build/swapfs-fuse-uring");
  const child = spawn(program, ["--device", device, "--mountpoint", mountpoint, ...options], { stdio: ["ignore", "ignore", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  cleanup.add(program, async () => {
    await run("umount", [mountpoint]);
    if (await ended !== 0) throw new Error("it did not end well when it was unmounted");
  });
  const file = path.join(mountpoint, "file");
  await until(`${file} is there, or the program has ended`, async () => child.exitCode !== null || (await run("stat", [file])).status === 0);
  return file;
}

/** Writes with sums from two jobs at once and reads them back, and finds the same bytes on the device. */
async function exercise(file: string, device: string): Promise<void> {
  await must("fio", [
    "--name=x", `--filename=${file}`, "--rw=randwrite", "--bs=4k-256k", "--ioengine=libaio", "--iodepth=32", "--numjobs=2", "--direct=1",
    "--size=8M", "--offset_increment=8M", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--minimal",
  ]);
  const sum = (from: string, skip: number): Promise<string> =>
    must("sh", ["-c", 'dd if="$0" bs=1M count=16 skip="$1" iflag=direct status=none | sha256sum', from, String(skip)]);
  expect(await sum(file, 0)).toBe(await sum(device, 1));
}

test.each([
  { name: "/dev/fuse, one reader that looks", options: ["--transport", "device"] },
  { name: "/dev/fuse, four readers", options: ["--transport", "device", "--threads", "4"] },
])("$name: what is written is read back, and lies on the device", ({ options }) => withCleanup(async (cleanup) => {
  const device = await zramDevice(cleanup, 32 << 20);
  await exercise(await served(cleanup, device, ...options), device);
}));

test("FUSE over io_uring: the same, where the kernel has it", () => withCleanup(async (cleanup) => {
  const before = await fs.readFile(parameter, "utf8").catch(() => undefined);
  if (before === undefined) return console.warn(`skipped: there is no ${parameter}`); // without CONFIG_FUSE_IO_URING, or before 6.14
  cleanup.add(parameter, () => fs.writeFile(parameter, before));
  await fs.writeFile(parameter, "Y");
  const device = await zramDevice(cleanup, 32 << 20);
  await exercise(await served(cleanup, device, "--transport", "ring", "--looks", "0"), device);
}));
