// Real swapping, on a loop device of this test's own.

import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

import type { AttachedLoop } from "#src/sys/addon";
import { attachImage } from "#src/sys/loop";
import { MemoryCgroup, memoryHierarchy } from "#src/sys/memorycgroup";
import { parseMountInfo } from "#src/sys/mounttable";
import { runPressure, type PressureProgress } from "#src/sys/pressure";
import { renewLoop } from "../support/hostdevices";
import { takeTurn, turnMs } from "../support/turns";

const mib = 2 ** 20;
const program = path.join(__dirname, "../../native/build/swapfs-pressure");

function ourGroups(): string[] {
  const folder = memoryHierarchy()?.folder;
  return folder === undefined ? [] : fs.readdirSync(folder).filter((name) => name.startsWith(`swapfs-pressure-${process.pid}-`));
}

describe("runPressure on a swap area", () => {
  let folder: string;
  let loop: AttachedLoop;
  let endTurn: () => Promise<void>;

  beforeAll(async () => {
    endTurn = await takeTurn("swap");
    folder = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-pressure-"));
    const image = path.join(folder, "swap.img");
    fs.writeFileSync(image, Buffer.alloc(128 * mib));
    execFileSync("mkswap", [image], { stdio: "ignore" });
    loop = attachImage(image);
    execFileSync("swapon", ["-p", "10", loop.device]);
  }, turnMs);

  afterAll(async () => {
    execFileSync("swapoff", [loop.device]);
    fs.closeSync(loop.fd);
    renewLoop(loop.device);
    fs.rmSync(folder, { recursive: true });
    await endTurn();
  });

  test("swaps, verifies every page and counts", async () => {
    const phases = new Set<PressureProgress["phase"]>();
    const result = await runPressure({
      byteLength: 64 * mib, residentBytes: 24 * mib, touches: 5000, threads: 2,
      onProgress: (progress) => phases.add(progress.phase),
    });
    expect(result).toMatchObject({ bytes: 64 * mib, pages: 16384, badPages: 0, touches: 5000, threads: 2 });
    expect(result.pagesOut).toBeGreaterThan(8000);
    expect(result.pagesIn).toBeGreaterThan(8000);
    expect(result.usPerTouch).toBeGreaterThan(0);
    expect([...phases]).toEqual(["fill", "verify", "touch"]);
    expect(ourGroups()).toEqual([]);
  });

  test("ends and cleans up when aborted", async () => {
    const abort = new AbortController();
    const running = runPressure({
      byteLength: 64 * mib, residentBytes: 24 * mib, seconds: 60,
      onProgress: (progress) => { if (progress.phase === "touch") abort.abort(); },
      signal: abort.signal,
    });
    await expect(running).rejects.toMatchObject({ name: "AbortError" });
    expect(ourGroups()).toEqual([]);
  });

  test("pages out without a cgroup", () => {
    const { stdout, status } = spawnSync(program, ["--bytes", String(48 * mib), "--touches", "500", "--pageout"], { encoding: "utf8" });
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ badPages: 0, pages: 12288, touches: 500 });
  });
});

describe("swapfs-pressure", () => {
  test.each([[[]], [["--bytes", "x"]], [["--bytes", "4096", "--threads", "2"]], [["--bytes", "-1"]], [["--bytes", "8192", "--marker", "too short"]], [["--bytes", "8192", "extra"]]])(
    "refuses %j with its usage", (words) => {
      const { status, stderr } = spawnSync(program, words, { encoding: "utf8" });
      expect(status).toBe(2);
      expect(stderr).toContain("usage:");
    });

  test("names a cgroup that it cannot enter", () => {
    const { status, stderr } = spawnSync(program, ["--bytes", "8192", "--cgroup-procs", "/no/such/file"], { encoding: "utf8" });
    expect(status).toBe(2);
    expect(stderr).toMatch(/cannot enter the cgroup of \/no\/such\/file/);
  });
});

test("runPressure names what the program complains of, and leaves no cgroup", async () => {
  await expect(runPressure({ byteLength: 2 ** 50 })).rejects.toThrow(
    "cannot run the memory workload: it exits with 2, cannot map 1125899906842624 bytes: Cannot allocate memory");
  expect(ourGroups()).toEqual([]);
});

describe("MemoryCgroup", () => {
  test("holds a process and is removed after it", async () => {
    const hierarchy = memoryHierarchy();
    expect(hierarchy).toBeDefined();
    const group = MemoryCgroup.create(hierarchy!, `swapfs-pressure-${process.pid}-test`, 16 * mib);
    expect(group.pids()).toEqual([]);
    expect(() => MemoryCgroup.create(hierarchy!, "no/such/parent", mib)).toThrow(/cannot make the memory cgroup/);
    await group.remove();
    expect(fs.existsSync(group.folder)).toBe(false);
  });

  test("memoryHierarchy prefers version 1 with the controller, then version 2", () => {
    const v1 = "30 22 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    const other = "31 22 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
    const v2 = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-cgroup2-"));
    fs.writeFileSync(path.join(v2, "cgroup.controllers"), "cpu io memory pids\n");
    const second = `32 22 0:28 / ${v2} rw - cgroup2 cgroup2 rw\n`;
    expect(memoryHierarchy(parseMountInfo(v1 + second))).toEqual({ version: 1, folder: "/sys/fs/cgroup/memory" });
    expect(memoryHierarchy(parseMountInfo(other + second))).toEqual({ version: 2, folder: v2 });
    fs.writeFileSync(path.join(v2, "cgroup.controllers"), "cpu\n");
    expect(memoryHierarchy(parseMountInfo(other + second))).toBeUndefined();
    fs.rmSync(v2, { recursive: true });
  });

  test("version 2: memory.max and memory.swap.max, delegated by the parent", () => {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-cgroup2-"));
    fs.writeFileSync(path.join(root, "cgroup.subtree_control"), "cpu\n");
    const group = MemoryCgroup.create({ version: 2, folder: root }, "g", 64 * mib);
    expect(fs.readFileSync(path.join(root, "cgroup.subtree_control"), "utf8")).toBe("+memory");
    expect(fs.readFileSync(path.join(group.folder, "memory.max"), "utf8")).toBe(String(64 * mib));
    fs.rmSync(root, { recursive: true });
  });
});
