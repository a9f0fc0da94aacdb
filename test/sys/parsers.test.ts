import { readFileSync } from "node:fs";
import { decodeFlags } from "#src/base/fiemap";
import { atLeast, canResend, kernelVersion, parseRelease } from "#src/sys/kernel";
import { commandLine, parseCapabilities, parseStatus, processIds, processStatus } from "#src/sys/procstatus";
import { unescapeOctal } from "#src/sys/kernelfiles";
import { parseVmstat, swapCounts, swapCountsSince } from "#src/sys/pressure";

describe("unescapeOctal", () => {
  test.each([
    ["plain", "plain"], ["a\\040b", "a b"], ["a\\134040", "a\\040"], ["\\303\\251", "é"], ["é\\012", "é\n"], ["a\\9", "a\\9"],
  ])("%s", (escaped, plain) => expect(unescapeOctal(escaped)).toBe(plain));
});

describe("kernel version", () => {
  test.each([
    ["6.18.44-fc-v509", 6, 18], ["6.9.0", 6, 9], ["5.10.0-28-amd64\n", 5, 10], ["7.0-rc1", 7, 0], ["nonsense", 0, 0],
  ])("%s", (release, major, minor) => expect(parseRelease(release)).toMatchObject({ major, minor }));

  test("RESEND needs 6.9", () => {
    expect(canResend(parseRelease("6.8.12"))).toBe(false);
    expect(canResend(parseRelease("6.9"))).toBe(true);
    expect(canResend(parseRelease("7.0"))).toBe(true);
  });

  test("the running kernel has a version", () => expect(atLeast(kernelVersion(), 4, 0)).toBe(true));
});

describe("capabilities", () => {
  test("a virtual machine without CAP_SYS_RESOURCE", () => {
    const held = parseCapabilities("Name:\tnode\nCapEff:\t000001fffeffffff\nCapBnd:\t000001ffffffffff\n");
    expect(held.has("CAP_SYS_ADMIN")).toBe(true);
    expect(held.has("CAP_IPC_LOCK")).toBe(true);
    expect(held.has("CAP_SYS_RESOURCE")).toBe(false);
  });

  test("nobody holds none", () => expect(parseCapabilities("CapEff:\t0000000000000000\n").size).toBe(0));
  test("root holds CAP_SYS_ADMIN here", () => expect(parseCapabilities(readFileSync("/proc/self/status", "utf8")).has("CAP_SYS_ADMIN")).toBe(true));
});

describe("process status", () => {
  const text = "Name:\tswapfs-dataplan\nState:\tS (sleeping)\nVmLck:\t   30720 kB\nVmHWM:\t   31000 kB\nVmRSS:\t   30900 kB\nVmSwap:\t       0 kB\nThreads:\t8\n";

  test("reads sizes in bytes", () => {
    expect(parseStatus(text)).toEqual({
      name: "swapfs-dataplan", state: "S", residentBytes: 30900 * 1024, lockedBytes: 30720 * 1024,
    });
  });

  test("a kernel thread has no memory", () => expect(parseStatus("Name:\tkswapd0\nThreads:\t1\n").residentBytes).toBe(0));
  test("this process is there", () => {
    expect(processStatus("self")?.residentBytes).toBeGreaterThan(1e6);
    expect(processIds()).toContain(process.pid);
    expect(commandLine(process.pid)[0]).toMatch(/node/);
  });
  test("a process that is gone is undefined", () => expect(processStatus(4194305)).toBeUndefined());
});

describe("vmstat", () => {
  test("counts since", () => {
    const before = parseVmstat("pgfault 7\npswpin 10\npswpout 20\nthp_swpout 3\nthp_swpout_fallback 4\n");
    expect(before).toEqual({ pagesIn: 10, pagesOut: 20, hugePagesWhole: 3, hugePagesSplit: 4 });
    expect(swapCountsSince(before, { pagesIn: 11, pagesOut: 25, hugePagesWhole: 5, hugePagesSplit: 4 }))
      .toEqual({ pagesIn: 1, pagesOut: 5, hugePagesWhole: 2, hugePagesSplit: 0 });
  });
  test("a kernel without swap counts nothing", () => expect(parseVmstat("pgfault 7\n")).toEqual({ pagesIn: 0, pagesOut: 0, hugePagesWhole: 0, hugePagesSplit: 0 }));
  test("this kernel counts", () => expect(Number.isInteger(swapCounts().pagesOut)).toBe(true));
});

test("decodeFlags names the FIEMAP bits", () => {
  expect(decodeFlags(0x2801)).toEqual(["last", "unwritten", "shared"]);
  expect(decodeFlags(0)).toEqual([]);
});
