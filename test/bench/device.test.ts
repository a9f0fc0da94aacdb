// Where the benchmark measures: on a device that is given, and on an image where there is no zram; and Ctrl-C on the way.

import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import path from "node:path";

import type { BenchReport } from "#src/report/model";
import { Cleanup } from "../support/mounted-cleanup";
import { attachLoop, imageFile, leftIn, scratchDir, unused, zramDevice } from "../support/mounted-devices";
import { must, projectDir, run, sleep, swapfs, until } from "../support/mounted-run";
import { inNamespaceOfItsOwn } from "../support/namespace";
import { takesTurns } from "../support/turns";

const mib = 2 ** 20;
/** What activate --quick asks for. */
const enough = 400 * mib;
const cleanup = new Cleanup();
afterEach(() => cleanup.run());

jest.setTimeout(200_000);
takesTurns("swap");

const main = path.join(projectDir, "dist/cli/main.js");

async function reportIn(file: string): Promise<BenchReport> {
  return JSON.parse(await fs.readFile(file, "utf8")) as BenchReport;
}

/** Everybody but the engine without bmap has a figure in each row. */
function expectMeasured({ rows }: BenchReport): void {
  expect(rows.map(({ name }) => name)).toEqual(["swapon of 64 MiB, 1 extent", "swapon of 64 MiB, 100 extents"]);
  const measured = rows.map(({ cells }) => cells.filter(({ summary }) => summary !== undefined).map(({ contender }) => contender));
  expect(measured).toEqual([["swapfs", "swapfs-block", "ext4", "ntfs-3g"], ["swapfs", "ext4", "ntfs-3g"]]); // a block view is one extent's
}

test.each([
  ["zram", () => zramDevice(cleanup, enough)],
  ["loop", async (dir: string) => attachLoop(cleanup, await imageFile(dir, "given.img", enough))],
] as const)("--device, a %s device: only with --destroy, whatever is on it; it stays, and can be used afterwards", async (_kind, make) => {
  const dir = await scratchDir(cleanup);
  const device = await make(dir);
  await must("mkfs.xfs", ["-q", "-L", "precious", device]);
  const label = async (): Promise<string> => (await run("blkid", ["-p", "-o", "value", "-s", "LABEL", device])).stdout.trim();
  const refused = await swapfs(["bench", "activate", "--quick", "--device", device]);
  expect([refused.status, refused.stderr]).toEqual([2, `swapfs: cannot measure on ${device}: its contents would be destroyed, add --destroy to say yes\n`]);
  expect(await label()).toBe("precious");
  const file = path.join(dir, "report.json");
  const done = await swapfs(["bench", "activate", "--quick", "--device", device, "--destroy", "--json", file], { timeoutMs: 150_000 });
  expect([0, 70]).toContain(done.status);
  const report = await reportIn(file);
  expect(report.device).toBe(`${device} (given)`);
  expectMeasured(report);
  expect(await label()).not.toBe("precious");
  await must("mkfs.ext4", ["-q", "-F", device]);
});

test("--device that is mounted, swapped on, too small or none: nothing is measured, nothing overwritten", async () => {
  const dir = await scratchDir(cleanup);
  const device = await attachLoop(cleanup, await imageFile(dir, "used.img", enough));
  const refusal = async (on: string): Promise<string> => {
    const done = await swapfs(["bench", "activate", "--quick", "--device", on, "--destroy"]);
    expect(done.status).toBe(12);
    return done.stderr;
  };
  await must("mkfs.ext4", ["-q", device]);
  const mountpoint = path.join(dir, "mnt");
  await fs.mkdir(mountpoint);
  await must("mount", [device, mountpoint]);
  try {
    expect(await refusal(device)).toContain(`cannot measure on ${device}: it is mounted (${mountpoint}), name a device that nothing uses`);
    expect(await must("findmnt", ["-n", "-o", "FSTYPE", mountpoint])).toBe("ext4\n");
  } finally {
    await must("umount", [mountpoint]);
  }
  await unused(device);
  await must("mkswap", ["-q", device]);
  await must("swapon", ["-p", "10", device]);
  try {
    expect(await refusal(device)).toContain(`it is swapped on (${device})`);
  } finally {
    await must("swapoff", [device]);
  }
  expect(await must("blkid", ["-p", "-o", "value", "-s", "TYPE", device])).toBe("swap\n");
  expect(await refusal(await attachLoop(cleanup, await imageFile(dir, "small.img", 8 * mib)))).toMatch(/8 MiB are too few, 328 MiB are needed/);
  expect(await refusal(path.join(dir, "none"))).toMatch(/cannot examine/);
});

test("no zram: on an image, which is gone afterwards", async () => {
  const dir = await scratchDir(cleanup);
  const file = path.join(dir, "report.json");
  const scratch = path.join(dir, "scratch");
  await fs.mkdir(scratch);
  // /sys/class as it is, but for the class that a kernel without zram lacks. Only links: reading hot_add adds a device.
  const script = `
    for c in /sys/class/*; do
      test "$c" = /sys/class/zram-control || { mkdir -p "$D/class/\${c##*/}"; find "$c" -type l -exec cp -P {} "$D/class/\${c##*/}/" \\; ; }
    done
    mount --bind "$D/class" /sys/class
    exec "$NODE" "$MAIN" bench activate --quick --json "$D/report.json"`;
  const env = { D: dir, NODE: process.execPath, MAIN: main, TMPDIR: scratch };
  const done = await inNamespaceOfItsOwn(dir, script, { env, timeoutMs: 150_000 });
  if (done.status !== 70) expect(done).toMatchObject({ status: 0 }); // 70: a bound was missed, which says nothing here
  const report = await reportIn(file);
  expect(report.device).toBe("image");
  expectMeasured(report);
  expect([await leftIn(dir), await fs.readdir(scratch)]).toEqual([[], []]);
});

/** The device that the benchmark works on now, seen by a swap area of its priority or a mount in its folder. */
async function deviceInUse(scratch: string): Promise<string | undefined> {
  const area = /^(\/dev\/zram\d+) .*\s30000$/m.exec((await fs.readFile("/proc/swaps", "utf8")).replaceAll(/[ \t]+/g, " "));
  const mount = new RegExp(` ${scratch}/.* (/dev/zram\\d+) `, "m").exec(await fs.readFile("/proc/self/mountinfo", "utf8"));
  return area?.[1] ?? mount?.[1];
}

/** A device of the same name that somebody else adds right afterwards has another. */
async function identityOf(device: string): Promise<string> {
  return fs.stat(device, { bigint: true }).then(({ ino, birthtimeNs }) => `${ino} ${birthtimeNs}`, () => "none");
}

test.each(["swap", "activate", "ablation"])("Ctrl-C in the middle of %s: exit 130, and nothing is left", async (group) => {
  const scratch = await scratchDir(cleanup);
  const child = spawn(process.execPath, [main, "bench", group, "--quick", "--json", path.join(scratch, "none.json")], { env: { ...process.env, TMPDIR: scratch }, stdio: "ignore" });
  const ended = new Promise<number | null>((resolve) => child.on("exit", (code) => resolve(code)));
  let device: string | undefined;
  let made: string | undefined;
  try {
    await until("it is under way", async () => (device = await deviceInUse(scratch)) !== undefined, 60_000);
    made = await identityOf(device!);
    await sleep(300);
  } finally {
    child.kill("SIGINT");
  }
  expect(await ended).toBe(130);
  expect([await leftIn(scratch), await fs.readdir(scratch)]).toEqual([[], []]);
  expect(await identityOf(device!)).not.toBe(made);
});
