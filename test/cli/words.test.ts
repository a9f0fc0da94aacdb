// The CLI's pure functions: arguments, answers of other programs, words.

import { table } from "#src/base/table";
import { complaint } from "#src/sys/tools";
import { parsePriority, swapfileLength } from "#src/cli/swap/create";
import { parseReady } from "#src/cli/mount/keeper";
import { resolveFolder, shellWord } from "#src/cli/common/paths";
import { megabytesPerSecond, progressText } from "#src/cli/try/pressure";
import { requestsByOpcode } from "#src/cli/status/session";
import { latencyOf } from "#src/dataplane/latency";
import { statusLines } from "#src/cli/status/statustext";
import type { VolumeStatus } from "#src/cli/status/gather";

test("shellWord quotes only what a shell would take apart", () => {
  expect(["/mnt/swap/a-1", "/mnt/my swap", "it's"].map(shellWord)).toEqual(["/mnt/swap/a-1", "'/mnt/my swap'", `'it'\\''s'`]);
});

test("resolveFolder follows links of the folder and leaves the last component alone", () => {
  expect(resolveFolder("/proc/self/../version")).toBe("/proc/version");
  expect(resolveFolder("/proc/nothing/here/x")).toBeUndefined();
  expect(resolveFolder("/")).toBe("/");
  expect(resolveFolder("/proc/self/cwd")).toMatch(/^\/proc\/\d+\/cwd$/);
});

test("complaint is the last line without the program's name", () => {
  expect(complaint({ code: 1, stdout: "", stderr: "warning\nmkswap: /a: file too small.\n" }, "mkswap")).toBe("/a: file too small");
  expect(complaint({ code: 3, stdout: "", stderr: "" }, "mkswap")).toBe("exit code 3");
});

test("swapfileLength takes whole pages and at least ten", () => {
  expect(swapfileLength("1M")).toBe(2 ** 20);
  expect(swapfileLength("40961")).toBe(40960);
  expect(() => swapfileLength("40959")).toThrow(/at least 10 pages/);
});

test("parsePriority", () => {
  expect(parsePriority({})).toBeUndefined();
  expect(parsePriority({ on: true, priority: "0" })).toBe(0);
  expect(parsePriority({ on: true, priority: "32767" })).toBe(32767);
  for (const priority of ["-1", "32768", "1.5", ""]) expect(() => parsePriority({ on: true, priority })).toThrow(/cannot read --priority/);
});

test("parseReady: ready, an error, nothing at all, words that are no JSON", () => {
  expect(parseReady('{"ready":true}\n')).toEqual({ ready: true });
  expect(parseReady('{"error":"no"}\n')).toEqual({ ready: false, error: "no" });
  expect(parseReady("")).toEqual({ ready: false });
  expect(parseReady("Segmentation fault\n")).toEqual({ ready: false, error: "Segmentation fault" });
});

test("table pads columns, numbers to the right", () => {
  expect(table([["a", 1, "x"], ["long", 100, ""]])).toEqual(["a       1  x", "long  100"]);
});

test("progressText and megabytesPerSecond", () => {
  expect(progressText({ phase: "fill", done: 50, total: 100 })).toBe("filling memory  50 %");
  expect(progressText({ phase: "touch", done: 50, total: 0 })).toBe("touching pages at random");
  expect(megabytesPerSecond(5e6, 2)).toBe("3");
  expect(megabytesPerSecond(5e6, 0)).toBe("-");
});

test("requestsByOpcode names what was seen", () => {
  const requests = Array.from({ length: 64 }, (_, code) => ({ 26: 1, 37: 4096, 60: 2 })[code] ?? 0);
  expect(requestsByOpcode(requests)).toEqual({ INIT: 1, BMAP: 4096, "opcode 60": 2 });
});

describe("statusLines", () => {
  const facts = { pid: 7, running: true, starts: 1, residentBytes: 2 ** 20, lockedBytes: 0 };
  const status: VolumeStatus = {
    mountpoint: "/mnt/swap", source: "/srv/swapfs.img", device: "/dev/loop3", runDir: "/run/swapfs/7:3", engine: "native",
    processes: { keeper: facts, dataPlane: { ...facts, starts: 2 }, controlPlane: { ...facts, running: false } },
    privileges: { ioFlusher: false, memoryLocked: true, oomProtected: true },
    swap: [
      { path: "/mnt/swap/a", deleted: false, type: "file", byteLength: 2 ** 30, usedBytes: 2 ** 20, priority: 10 },
      { path: "/mnt/swap/b", through: "/dev/loop4", way: "block view", rotational: true, deleted: false, type: "partition", byteLength: 2 ** 30, usedBytes: 0, priority: 9 },
    ],
    hugePages: { whole: 4, split: 5 },
    requests: { BMAP: 9, INIT: 1 }, latency: { bmap: latencyOf([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]), read: latencyOf([]) },
    counters: { mapped: 3, errors: 0, swap_rw_pages_in: 5, swap_rw_pages_out: 6, in_flight: 1, in_flight_max: 32 },
    volume: {
      pages: 262144, freePages: 1024, inodes: 2, freeInodes: 9, sequence: 7, records: 1, journalBytes: 512, journalCapacity: 4096, checkpoints: 1,
      checkpointMs: 1, checkpointBytes: 1, checkpointCapacity: 9, droppedPages: 0, freeRuns: 1, largestFreeRun: 1024,
    },
    files: [{ ino: 2, path: "/a", size: 2 ** 30, pages: 262144, extents: 1, open: 1, pinned: true, mode: null }],
    refusals: [{ ino: 3, time: 0, pid: 1, text: "page 0 is a hole" }],
  };

  test("shows everything that a person asks for", () => {
    const text = statusLines(status).join("\n");
    for (const part of ["/mnt/swap  <-  /srv/swapfs.img (through /dev/loop3)", "DOWN", "2 starts", "not an IO_FLUSHER", "priority 10",
      "1 MiB used", "/mnt/swap/b by its block view /dev/loop4", "rotational: huge pages are split", "4 whole, 5 split", "pinned", "BMAP 9", "mapped 3", "swap_rw 5 in, 6 out", "32 at most", "p50 6.1 us", "inode 3: page 0 is a hole", "1 GiB, 4 MiB free"]) expect(text).toContain(part);
    expect(text).not.toContain("errors");
  });

  test("shows what it can while the control plane is down", () => {
    const { volume: _v, files: _f, refusals: _r, ...rest } = status;
    const text = statusLines({ ...rest, processes: undefined, problem: "no answer within 20 s" }).join("\n");
    expect(text).toContain("no answer within 20 s");
    expect(text).toContain("priority 10");
  });
});
