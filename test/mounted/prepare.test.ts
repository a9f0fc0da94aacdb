// swapfs prepare on real mounts: every reason that it can cure, on a device and on images on three hosts, and what is left
// when it is killed in the middle.

import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, promises as fs } from "node:fs";
import path from "node:path";

import { FileBlockDevice } from "#src/volume/file-device";
import { Volume } from "#src/volume/volume";
import { DeviceFaults } from "../support/faults";
import { fileExtents } from "../support/hostdevices";
import { hostFilesystem, hostTypes, type HostType } from "../support/hosts";
import { killAndAwait, mountSwapfs, swappedOn, umount } from "../support/mounted";
import { withCleanup, type Cleanup } from "../support/mounted-cleanup";
import { scratchDir, zramDevice } from "../support/mounted-devices";
import { must, projectDir, sh, swapfs, until, type Done } from "../support/mounted-run";
import { swapsWithoutTraffic } from "../support/turns";

const MiB = 1 << 20;

interface Place {
  readonly mnt: string;
  /** undefined on a device */
  readonly image: string | undefined;
  readonly source: string;
}

type Kind = "device" | HostType;

const kinds: readonly Kind[] = ["device", ...hostTypes];

async function placed(cleanup: Cleanup, kind: Kind, env: NodeJS.ProcessEnv = {}): Promise<Place> {
  const dir = await scratchDir(cleanup);
  const mnt = path.join(dir, "mnt");
  if (kind === "device") {
    const source = await zramDevice(cleanup, 512 * MiB);
    await mountWith(env, () => mountSwapfs(cleanup, source, mnt, { args: ["--format"] }));
    return { mnt, source, image: undefined };
  }
  const source = path.join(await hostFilesystem(cleanup, dir, kind, { bytes: 700 * MiB }), "volume.img");
  await mountWith(env, () => mountSwapfs(cleanup, source, mnt, { args: ["--size", "400M"] }));
  return { mnt, source, image: source };
}

/** The keeper and the planes have the environment of the command that mounts. */
async function mountWith(env: NodeJS.ProcessEnv, mount: () => Promise<void>): Promise<void> {
  Object.assign(process.env, env);
  try {
    await mount();
  } finally {
    for (const name of Object.keys(env)) delete process.env[name];
  }
}

/** As the disk has it. */
function contents(file: string): Promise<string> {
  return sh(`dd if=${file} bs=1M iflag=direct status=none | sha256sum`);
}

async function checked(file: string): Promise<{ accepted: boolean; extents: number; reasons: { kind: string }[] }> {
  return JSON.parse((await swapfs(["check", file, "--json"])).stdout);
}

async function swapsOnAndOff(mnt: string, file: string): Promise<void> {
  await must("swapon", ["-p", "10", file]);
  try {
    expect(await swappedOn(mnt)).toEqual([file]);
  } finally {
    await must("swapoff", [file]);
  }
}

/** 48 MiB with a header, data here and there, and holes between. */
async function withHoles(file: string): Promise<void> {
  await sh(`truncate -s 48M ${file}; chmod 600 ${file}; mkswap -q ${file}
    for at in 3 4 17 31; do dd if=/dev/urandom of=${file} bs=1M seek=$at count=1 conv=notrunc status=none; done`);
}

describe("swapped on and off, contents are as they were", () => {
  swapsWithoutTraffic();

  test.each(kinds)("holes become blocks, and swapon takes the file: %s", (kind) =>
    withCleanup(async (cleanup) => {
      const { mnt } = await placed(cleanup, kind);
      const file = path.join(mnt, "a");
      await withHoles(file);
      const before = await contents(file);
      expect((await checked(file)).reasons.map((reason) => reason.kind)).toContain("hole");
      const done = await swapfs(["prepare", file]);
      expect(done).toMatchObject({ status: 0 });
      expect(done.stdout).toMatch(/^.*: \d+ pages allocated.*\n.*: swapon would accept it, 48 MiB \(12288 pages\) in \d+ extents?\n$/);
      expect(await contents(file)).toBe(before);
      await swapsOnAndOff(mnt, file);
      expect((await swapfs(["prepare", file])).stdout).toMatch(/: nothing to do\n/);
      expect(await contents(file)).toBe(before);
    }));

  test.each(kinds)("a plain copy is a clone, and gets blocks of its own: %s", (kind) =>
    withCleanup(async (cleanup) => {
      const { mnt, source } = await placed(cleanup, kind);
      const [file, copy] = [path.join(mnt, "a"), path.join(mnt, "copy")] as const;
      await sh(`dd if=/dev/urandom of=${file} bs=1M count=24 status=none; chmod 600 ${file}; mkswap -q ${file}; cp ${file} ${copy}; sync -f ${file}`);
      const before = await contents(file);
      for (const each of [file, copy]) expect((await checked(each)).reasons.map((reason) => reason.kind)).toEqual(["shared"]);
      const done = await swapfs(["prepare", copy, "--json"]);
      expect(done).toMatchObject({ status: 0 });
      expect(JSON.parse(done.stdout)).toMatchObject({ pages: { unshare: 6144 }, verdict: { accepted: true } });
      expect([await contents(file), await contents(copy)]).toEqual([before, before]);
      await swapsOnAndOff(mnt, copy);
      expect(await swapfs(["prepare", file])).toMatchObject({ status: 0 });
      await swapsOnAndOff(mnt, file);
      expect([await contents(file), await contents(copy)]).toEqual([before, before]);
      await umount(mnt);
      expect(await swapfs(["fsck", source])).toMatchObject({ status: 0 });
    }));
});

/** Runs of the device that are this file's, read from the image below the mount. */
function runsOf(image: string, file: { readonly ino: number }): { page: number; count: number }[] {
  const device = new FileBlockDevice(image, { readOnly: true });
  try {
    const inode = Volume.open(device, { readOnly: true }).inode(file.ino)!;
    return [...inode.extents].map(({ devicePage, count }) => ({ page: devicePage, count }));
  } finally {
    device.close();
  }
}

/** What the host says of the image below the file's blocks: flags, and "hole". */
function flagsBelow(image: string, runs: readonly { page: number; count: number }[]): Set<string> {
  const fd = openSync(image, "r");
  const flags = new Set<string>();
  for (const { page, count } of runs) {
    let next = page * 4096;
    for (const extent of fileExtents(fd, page * 4096, count * 4096)) {
      if (extent.logical > next) flags.add("hole");
      for (const flag of extent.flags) flags.add(flag);
      next = Math.max(next, extent.logical + extent.length);
    }
    if (next < (page + count) * 4096) flags.add("hole");
  }
  closeSync(fd);
  return flags;
}

test.each(hostTypes)("blocks that the image's host would have to allocate or convert are written: %s", (kind) =>
  withCleanup(async (cleanup) => {
    const { mnt, image } = await placed(cleanup, kind);
    const file = path.join(mnt, "a");
    await sh(`fallocate -l 32M ${file}; chmod 600 ${file}; mkswap -q ${file}; sync -f ${file}`);
    const runs = runsOf(image!, await fs.stat(file));
    const before = await contents(file);
    // From outside, as a person might who copies the image or makes it sparse: the header and what lies beside it stay.
    const inside = (from: number, count: number): string => `-o ${(runs[0]!.page + from) * 4096} -l ${count * 4096}`;
    await sh(`fallocate -p ${inside(1000, 2000)} ${image}; fallocate -z ${inside(4000, 1000)} ${image}`);
    const found = flagsBelow(image!, runs);
    expect(found.has("hole") || found.has("unwritten")).toBe(true);
    const done = await swapfs(["prepare", file, "--json"]);
    expect(done).toMatchObject({ status: 0 });
    expect(JSON.parse(done.stdout)).toMatchObject({ stopped: false, pages: { allocate: 0, unshare: 0, move: 0 }, verdict: { accepted: true } });
    expect(JSON.parse(done.stdout).pages.rewrite).toBeGreaterThanOrEqual(3000);
    const after = flagsBelow(image!, runs);
    expect([after.has("hole"), after.has("unwritten")]).toEqual([false, false]);
    expect(await contents(file)).toBe(before);
    await swapsOnAndOff(mnt, file);
  }));

/** `pieces` pieces of 64 KiB with another file's between them, all of it random, closed. */
async function fragmented(mnt: string, pieces: number): Promise<string> {
  const file = path.join(mnt, "a");
  await sh(`for n in $(seq 0 ${pieces - 1}); do
    dd if=/dev/urandom of=${file} bs=64k seek=$n count=1 conv=notrunc,fsync status=none
    dd if=/dev/zero of=${mnt}/b bs=64k seek=$n count=1 conv=notrunc,fsync status=none
  done; rm ${mnt}/b; chmod 600 ${file}; mkswap -q ${file}`);
  return file;
}

test.each(kinds)("--contiguous leaves one extent: %s", (kind) =>
  withCleanup(async (cleanup) => {
    const { mnt } = await placed(cleanup, kind);
    const file = await fragmented(mnt, 40);
    const before = await contents(file);
    expect((await checked(file)).extents).toBeGreaterThan(10);
    const done = await swapfs(["prepare", file, "--contiguous"]);
    expect(done).toMatchObject({ status: 0 });
    expect(done.stdout).toMatch(/640 pages moved/);
    expect(await checked(file)).toMatchObject({ accepted: true, extents: 1 });
    expect(await contents(file)).toBe(before);
    await swapsOnAndOff(mnt, file);
    const log = await must("dmesg", []);
    expect(log.split("\n").filter((line) => line.includes(`swap on ${file}.`)).at(-1)).toMatch(/extents:1 /);
    expect((await swapfs(["prepare", file, "--contiguous"])).stdout).toMatch(/: nothing to do\n/);
  }));

describe("ended in the middle", () => {
  interface Slow extends Place {
    readonly file: string;
    readonly before: string;
    readonly faults: DeviceFaults;
  }

  /** 96 MiB in two pieces, and a device that takes its time for each MiB that is copied. */
  async function slow(cleanup: Cleanup): Promise<Slow> {
    const faults = await DeviceFaults.make(path.join(await scratchDir(cleanup), "faults"));
    const place = await placed(cleanup, "device", { SWAPFS_TEST_FAULTS: faults.file });
    const file = path.join(place.mnt, "a");
    await sh(`dd if=/dev/urandom of=${file} bs=1M count=48 status=none; dd if=/dev/urandom of=${place.mnt}/b bs=1M count=1 status=none
      dd if=/dev/urandom of=${file} bs=1M count=48 seek=48 status=none
      chmod 600 ${file}; mkswap -q ${file}; sync -f ${file}`);
    const before = await contents(file);
    await faults.set({ kind: "delay", transfers: "write", delayMs: 40, count: 1e9 });
    return { ...place, file, before, faults };
  }

  function start(file: string): { child: ChildProcess; done: Promise<Done>; moving: () => Promise<void> } {
    const child = spawn(process.execPath, [path.join(projectDir, "dist/cli/main.js"), "prepare", file, "--contiguous", "--json"], { stdio: "pipe" });
    let stdout = "";
    let stderr = "";
    child.stdout!.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr!.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const done = new Promise<Done>((resolve) => child.on("close", (code, signal) => resolve({ status: code ?? (signal === "SIGKILL" ? 137 : 143), stdout, stderr })));
    const moving = (): Promise<void> => until("it is in the middle", () => /"done":[1-9]/.test(stderr));
    return { child, done, moving };
  }

  async function finished(slow: Slow): Promise<void> {
    await slow.faults.clear();
    expect(await contents(slow.file)).toBe(slow.before);
    const again = await swapfs(["prepare", slow.file, "--contiguous", "--json"]);
    expect(again).toMatchObject({ status: 0 });
    expect(await checked(slow.file)).toMatchObject({ accepted: true, extents: 1 });
    expect(await contents(slow.file)).toBe(slow.before);
    await swapsOnAndOff(slow.mnt, slow.file);
    await umount(slow.mnt);
    expect(await swapfs(["fsck", slow.source])).toMatchObject({ status: 0 });
  }

  test("Ctrl-C: ends after the step, keeps what is done, and the next run does the rest alone", () =>
    withCleanup(async (cleanup) => {
      const place = await slow(cleanup);
      const { child, done, moving } = start(place.file);
      await moving();
      child.kill("SIGINT");
      const { status, stdout } = await done;
      expect(status).toBe(130);
      const { stopped, pages } = JSON.parse(stdout) as { stopped: boolean; pages: { move: number } };
      expect(stopped).toBe(true);
      expect(pages.move).toBeGreaterThan(0);
      expect(pages.move).toBeLessThan(24576);
      await place.faults.clear();
      const rest = JSON.parse((await swapfs(["prepare", place.file, "--contiguous", "--json"])).stdout) as { pages: { move: number } };
      expect(rest.pages.move).toBe(24576 - pages.move);
      await finished(place);
    }));

  test("SIGKILL of the command: the control plane ends it after the step", () =>
    withCleanup(async (cleanup) => {
      const place = await slow(cleanup);
      const { child, done, moving } = start(place.file);
      await moving();
      child.kill("SIGKILL");
      expect((await done).status).toBe(137);
      await until("the control plane has ended it", async () => {
        const { stderr } = await swapfs(["prepare", `${place.mnt}/nothing`]);
        return /no such file/.test(stderr);
      });
      await finished(place);
    }));

  test.each(["control plane", "data plane"] as const)("SIGKILL of the %s: the command goes on, contents are as they were", (role) =>
    withCleanup(async (cleanup) => {
      const place = await slow(cleanup);
      const { done, moving } = start(place.file);
      await moving();
      for (let kills = 0; kills < 3; kills += 1) {
        await killAndAwait(place.mnt, role);
        await new Promise((resolve) => setTimeout(resolve, 400));
      }
      await place.faults.clear();
      expect(await done).toMatchObject({ status: 0 });
      await finished(place);
    }));
});

test("refused in words: a directory, what is not there, swapped on and refused no more, open for writing, no room", () =>
  withCleanup(async (cleanup) => {
    const { mnt } = await placed(cleanup, "device");
    const file = path.join(mnt, "a");
    expect((await swapfs(["prepare", mnt])).stderr).toMatch(/cannot prepare .*: only a regular file can be prepared, name one/);
    expect((await swapfs(["prepare", file])).stderr).toMatch(/cannot prepare .*: there is no such file, correct the name/);
    await sh(`truncate -s 2G ${file}; chmod 600 ${file}; mkswap -q ${file}`);
    const full = await swapfs(["prepare", file]);
    expect(full).toMatchObject({ status: 12 });
    expect(full.stderr).toMatch(/it needs 2.0 GiB \(\d+ pages\) in new blocks, the volume has .* free: remove something or use a larger volume; nothing was lost/);
    await sh(`truncate -s 16M ${file}; mkswap -q ${file}`);
    const writer = spawn("sh", ["-c", `exec 3>>${file}; echo open; read line`], { stdio: "pipe" });
    await new Promise((resolve) => writer.stdout.once("data", resolve));
    const busy = await swapfs(["prepare", file]);
    expect([busy.status, busy.stderr]).toEqual([12, expect.stringMatching(new RegExp(`open for writing by pid ${writer.pid}, close it there`))]);
    writer.stdin.end("\n");
    await new Promise((resolve) => writer.once("exit", resolve));
    expect(await swapfs(["prepare", file])).toMatchObject({ status: 0 });
    await must("swapon", ["-p", "10", file]);
    try {
      expect((await swapfs(["prepare", file])).stdout).toMatch(/nothing to do/);
    } finally {
      await must("swapoff", [file]);
    }
  }));

test("no header: named, or written on request", () =>
  withCleanup(async (cleanup) => {
    const { mnt } = await placed(cleanup, "device");
    const file = path.join(mnt, "a");
    await sh(`truncate -s 16M ${file}; chmod 600 ${file}`);
    const without = await swapfs(["prepare", file]);
    expect(without.status).toBe(10);
    expect(without.stdout).toMatch(/4096 pages allocated\n.*refuse it\n.*no swap header\n.*\n.*do: mkswap \S*a\n/);
    expect(await swapfs(["prepare", file, "--mkswap"])).toMatchObject({ status: 0 });
    await swapsOnAndOff(mnt, file);
  }));

test("programs that read and write the file meanwhile see what they wrote", () =>
  withCleanup(async (cleanup) => {
    const { mnt } = await placed(cleanup, "device");
    const file = path.join(mnt, "a");
    await sh(`dd if=/dev/urandom of=${file} bs=1M count=32 status=none; dd if=/dev/urandom of=${mnt}/b bs=1M count=1 status=none
      dd if=/dev/urandom of=${file} bs=1M count=32 seek=32 status=none; chmod 600 ${file}`);
    const prepared = swapfs(["prepare", file, "--contiguous"]);
    await until("it has begun", async () => (await fs.stat(file)).blocks * 512 >= 64 * MiB).catch(() => undefined);
    const job = must("fio", [
      "--name=job", `--filename=${file}`, "--size=64M", "--rw=randrw", "--bsrange=4k-64k", "--verify=crc32c", "--verify_fatal=1",
      "--verify_state_save=0", "--time_based", "--runtime=3", "--direct=1", "--ioengine=libaio", "--iodepth=8",
    ], { cwd: path.dirname(mnt) });
    await job;
    expect([0, 10, 12]).toContain((await prepared).status); // 12: fio was first, and the file open for writing
    expect(await swapfs(["prepare", file, "--contiguous", "--mkswap", "--force"])).toMatchObject({ status: 0 });
    expect(await checked(file)).toMatchObject({ accepted: true, extents: 1 });
  }));
