// When swap grows and shrinks: single decisions, and whole lives of a machine that does what is decided.

import { decide, fillRate, nextBytes, nextPriority, ways, type Area, type Sample, type Settings } from "#src/cli/auto/policy";

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const settings: Settings = { maxBytes: 32 * GiB, chunkBytes: GiB, calmMs: 60_000, firstPriority: 0, growth: ways.bmap.growth };
/** By block views. */
const views: Settings = { ...settings, growth: ways.block.growth };

function area(path: string, bytes: number, usedBytes = 0, sinceMs = -1e9): Area {
  return { path, byteLength: bytes, usedBytes, priority: Number(path), sinceMs };
}

/** The same for so many seconds. */
function steady(seconds: number, areas: readonly Area[], more: Partial<Sample> = {}): Sample[] {
  const swapTotalBytes = areas.reduce((sum, one) => sum + one.byteLength, 0);
  const swapFreeBytes = swapTotalBytes - areas.reduce((sum, one) => sum + one.usedBytes, 0);
  return Array.from({ length: seconds + 1 }, (_, at) => ({ atMs: at * 1000, availableBytes: 8 * GiB, swapTotalBytes, swapFreeBytes, pressed: false, ...more }));
}

/** What comes of it, as the native process and `swapfs auto` do it. */
function step(areas: readonly Area[], series = steady(100, areas), readyBytes = 2 * GiB): string {
  const { addBelowBytes, remove } = decide({ series, areas, readyBytes, swaponUsPerPage: 10 }, settings);
  if (remove) return `remove ${remove.path}`;
  return series.at(-1)!.swapFreeBytes < addBelowBytes ? "add" : "nothing";
}

describe("nextBytes", () => {
  test("doubles what is on, up to eight chunks, so that there are few areas", () => {
    const areas: Area[] = [];
    for (let bytes: number; (bytes = nextBytes(areas, settings, Infinity)) > 0;) areas.push(area(String(areas.length), bytes));
    expect(areas.map(({ byteLength }) => byteLength / GiB)).toEqual([1, 1, 2, 4, 8, 8, 8]);
  });

  test("with a large --max there are still fewer areas than the kernel knows", () => {
    const areas: Area[] = [];
    const large = { ...settings, maxBytes: 1024 * GiB };
    for (let bytes: number; (bytes = nextBytes(areas, large, Infinity)) > 0;) areas.push(area(String(areas.length), bytes));
    expect(areas.length).toBeLessThan(23);
    expect(areas.reduce((sum, { byteLength }) => sum + byteLength, 0)).toBe(1024 * GiB);
  });

  test("by block views: three times what is on", () => {
    const areas: Area[] = [];
    for (let bytes: number; (bytes = nextBytes(areas, views, Infinity)) > 0;) areas.push(area(String(areas.length), bytes));
    expect(areas.map(({ byteLength }) => byteLength / GiB)).toEqual([1, 3, 8, 8, 8, 4]);
  });

  test("takes what the source gives, in whole pages, and nothing below a chunk", () => {
    expect(nextBytes([area("1", 3 * GiB)], settings, 2 * GiB + 5000)).toBe(2 * GiB + 4096);
    expect(nextBytes([], settings, GiB - 1)).toBe(0);
    expect(nextBytes([], settings, -5)).toBe(0);
  });
});

test("nextPriority: from the first one's on, the youngest first, whatever went", () => {
  expect(nextPriority([], settings)).toBe(0);
  expect(nextPriority([], { firstPriority: 7 })).toBe(7);
  expect(nextPriority([area("4", GiB), area("2", GiB)], settings)).toBe(5);
  expect(nextPriority([area("32767", GiB)], settings)).toBe(32767);
});

describe("decide adds", () => {
  test("the first one where there is no swap", () => expect(step([], steady(1, []), GiB)).toBe("add"));
  test("none beside somebody else's swap that is free", () => expect(step([], steady(1, [area("0", 8 * GiB)]))).toBe("nothing"));
  test("at less than a quarter of what is on, earlier while memory is short and swap fills", () => {
    const areas = [area("1", GiB, 700 * MiB)];
    expect(step(areas)).toBe("nothing");
    expect(step([area("1", GiB, 800 * MiB)])).toBe("add");
    const filling = steady(20, areas, { pressed: true }).map((sample) => ({ ...sample, swapFreeBytes: sample.swapFreeBytes + (20_000 - sample.atMs) * 1000 }));
    expect(step(areas, filling)).toBe("add");
    expect(step(areas, filling.map((sample) => ({ ...sample, pressed: false })))).toBe("nothing");
  });
  test("earlier the faster swap fills: swapon of 2 GiB takes 5 s", () => {
    const areas = [area("1", 6 * GiB, 2.5 * GiB)];
    const at = (rate: number): Sample[] => steady(5, areas).map((sample) => ({ ...sample, swapFreeBytes: sample.swapFreeBytes + (5000 - sample.atMs) * rate * 1000 }));
    expect(step(areas, at(200))).toBe("nothing");
    expect(step(areas, at(1000))).toBe("add");
  });
});

test("fillRate: the fastest of the last ten seconds; an area that comes or goes does not count", () => {
  const sample = (atMs: number, swapFreeBytes: number, swapTotalBytes = 1000): Sample => ({ atMs, swapFreeBytes, swapTotalBytes, availableBytes: 0, pressed: false });
  expect(fillRate([])).toBe(0);
  expect(fillRate([sample(0, 1000), sample(1000, 500), sample(2000, 400)])).toBe(0.5);
  expect(fillRate([sample(0, 1000), sample(1000, 0), sample(20_000, 400), sample(21_000, 300)])).toBe(0.1);
  expect(fillRate([sample(0, 1000), sample(1000, 100, 100)])).toBe(0);
  expect(fillRate([sample(0, 1000), sample(1, 0)])).toBe(0);
});

describe("decide removes", () => {
  const [one, two, four] = [area("1", GiB, 10 * MiB), area("2", 2 * GiB, 200 * MiB), area("4", 4 * GiB, 100 * MiB)] as const;
  test("the longest one", () => expect(step([one, two, four])).toBe("remove 4"));
  test("of two the one that holds less, or the older one", () => {
    expect(step([area("1", GiB, 9000), area("2", GiB, 0)])).toBe("remove 2");
    expect(step([area("1", GiB, 0, -2e6), area("2", GiB, 0, -1e6)])).toBe("remove 1");
  });
  test("nothing where it would not fit elsewhere", () => expect(step([area("1", GiB, 500 * MiB), area("2", 2 * GiB, 1200 * MiB)])).toBe("nothing"));
  test("never the last one", () => expect(step([area("1", GiB)])).toBe("nothing"));
  test("the last one where somebody else's swap is enough", () => expect(step([area("1", GiB)], steady(100, [area("1", GiB), area("0", 4 * GiB)]))).toBe("remove 1"));
  test("nothing that does not fit into memory on its way", () => {
    const areas = [area("1", GiB, 100 * MiB), area("2", 4 * GiB, 300 * MiB)];
    expect(step(areas)).toBe("remove 2");
    expect(step(areas, steady(100, areas, { availableBytes: 500 * MiB }))).toBe("remove 1");
    expect(step(areas, steady(100, areas, { availableBytes: 150 * MiB }))).toBe("nothing");
  });
  test("nothing before it was so for as long as it is to be", () => {
    const areas = [one, two, four];
    expect(step(areas, steady(59, areas))).toBe("nothing");
    const series = steady(100, areas);
    expect(step(areas, series.map((sample) => (sample.atMs === 70_000 ? { ...sample, swapFreeBytes: 100 * MiB } : sample)))).toBe("nothing");
    expect(step(areas.map((each) => ({ ...each, sinceMs: 50_000 })), series)).toBe("nothing");
  });
});

interface Life {
  /** swap that the machine wants at a moment */
  readonly demand: (seconds: number) => number;
  readonly seconds: number;
  readonly swaponUsPerPage?: number;
  readonly maxBytes?: number;
  readonly chunkBytes?: number;
  readonly growth?: number;
  /** how long it takes to make a file */
  readonly makeMs?: number;
}

/** A machine that does what is decided; a file lies ready `makeMs` after the one before is on. */
function live({ demand, seconds, swaponUsPerPage = 10, maxBytes = 32 * GiB, chunkBytes = GiB, growth = 1, makeMs = 1000 }: Life) {
  const own = { ...settings, maxBytes, chunkBytes, growth };
  let areas: Area[] = [];
  let ready: { bytes: number; atMs: number } | undefined;
  let adding: { bytes: number; endMs: number } | undefined;
  const series: Sample[] = [];
  const told: string[] = [];
  let missing = 0;
  let most = 0;
  const lookMs = seconds > 300 ? 1000 : 100;
  for (let atMs = 0; atMs <= seconds * 1000; atMs += lookMs) {
    if (adding && atMs >= adding.endMs) {
      areas.push({ path: String(atMs), byteLength: adding.bytes, usedBytes: 0, priority: nextPriority(areas, own), sinceMs: atMs });
      told.push(`+${adding.bytes / chunkBytes}`);
      adding = undefined;
    }
    const on = areas.reduce((sum, one) => sum + one.byteLength, 0);
    const wanted = demand(atMs / 1000);
    missing = Math.max(missing, wanted - on);
    let left = Math.min(wanted, on);
    areas = areas.map((one) => { const usedBytes = Math.min(left, one.byteLength); left -= usedBytes; return { ...one, usedBytes }; });
    series.push({ atMs, availableBytes: 4 * GiB, swapTotalBytes: on, swapFreeBytes: Math.max(0, on - wanted), pressed: demand(atMs / 1000) > demand(atMs / 1000 - 0.5) });
    if (series.length > 1000) series.shift();
    if (!ready && !adding) {
      const bytes = nextBytes(areas, own, Infinity);
      if (bytes > 0) ready = { bytes, atMs: atMs + makeMs };
    }
    most = Math.max(most, on + (ready?.bytes ?? 0) + (adding?.bytes ?? 0));
    const lies = ready && atMs >= ready.atMs ? ready : undefined;
    const { addBelowBytes, remove } = decide({ series, areas, readyBytes: lies?.bytes, swaponUsPerPage }, own);
    if (lies && on - wanted < addBelowBytes) {
      adding = { bytes: lies.bytes, endMs: atMs + ((lies.bytes / 4096) * swaponUsPerPage) / 1000 };
      ready = undefined;
    } else if (remove) {
      told.push(`-${remove.byteLength / chunkBytes}`);
      areas = areas.filter((one) => one !== remove);
    }
  }
  return { missing, most, told, on: areas.map(({ byteLength }) => byteLength / chunkBytes) };
}

const after = (start: number, value: (seconds: number) => number) => (seconds: number): number => (seconds < start ? 0 : value(seconds - start));

const byView = { growth: ways.block.growth, swaponUsPerPage: ways.block.usPerPage };

describe("a whole life by block views", () => {
  test("nothing is wanted: one area, for ever", () => expect(live({ ...byView, demand: () => 0, seconds: 1000 })).toMatchObject({ told: ["+1"] }));

  test("four chunks are there before another file is made", () => {
    const { missing, told } = live({ ...byView, makeMs: 60_000, demand: after(130, (t) => Math.min(4, t * 4 / 10) * GiB), seconds: 145 });
    expect(missing).toBeLessThanOrEqual(0);
    expect(told).toEqual(["+1", "+3"]);
  });

  test("what was wanted goes away: a minute later areas go, one by one, and none comes again", () => {
    const { told, on, missing } = live({ ...byView, demand: after(10, (t) => (t < 100 ? Math.min(9, t / 7) * GiB : 0.1 * GiB)), seconds: 1000 });
    expect(missing).toBeLessThanOrEqual(0);
    expect(told.slice(0, 3)).toEqual(["+1", "+3", "+8"]);
    const shrinking = told.slice(told.findIndex((one) => one.startsWith("-")));
    expect(shrinking.length).toBeGreaterThan(1);
    expect(shrinking.every((one) => one.startsWith("-"))).toBe(true);
    expect(on.length).toBeLessThanOrEqual(2);
  });

  test.each([0.2, 0.6, 0.9, 1.4, 2, 2.6, 3.3, 5, 7.7])("%d GiB for an hour, a little more and less: it settles, and does not come and go", (gib) => {
    const { told, missing } = live({ ...byView, demand: after(10, (t) => (Math.min(1, t / 60) * gib + 0.05 * Math.sin(t / 20)) * GiB), seconds: 3600 });
    expect(missing).toBeLessThanOrEqual(0);
    const added = told.filter((one) => one.startsWith("+")).length;
    expect(added).toBeLessThanOrEqual(4);
    expect(told.length - added).toBeLessThanOrEqual(3);
  });
});

describe("a whole life", () => {
  test("nothing is wanted: one area, for ever", () => expect(live({ demand: () => 0, seconds: 1000 })).toMatchObject({ told: ["+1"] }));

  test.each([
    ["9 GiB in a minute", after(10, (t) => Math.min(9, (t * 9) / 60) * GiB)],
    ["2 GiB in ten seconds", after(10, (t) => Math.min(2, t / 5) * GiB)],
    ["jumps of 200 MiB", after(10, (t) => Math.min(40, Math.floor(t / 4)) * 200 * MiB)],
  ])("%s: there is always enough, and in the end no more than three times as much", (_name, demand) => {
    const { missing, on } = live({ demand, seconds: 200 });
    expect(missing).toBeLessThanOrEqual(0);
    expect(on.reduce((sum, chunks) => sum + chunks, 0) * GiB).toBeLessThanOrEqual(3 * demand(200) + 2 * GiB);
  });

  test("slow swapons (60 us a page) of small areas, filled at 10 MiB/s", () => {
    expect(live({ demand: after(10, (t) => Math.min(400, 10 * t) * MiB), seconds: 100, swaponUsPerPage: 60, chunkBytes: 64 * MiB }).missing).toBeLessThanOrEqual(0);
  });

  test("never above --max", () => {
    const { most, missing, told } = live({ demand: (t) => t * 100 * MiB, seconds: 200, maxBytes: 10 * GiB });
    expect(most).toBe(10 * GiB);
    expect(missing).toBeGreaterThan(0);
    expect(told).toEqual(["+1", "+1", "+2", "+4", "+2"]);
  });

  test("what was wanted goes away: a minute later areas go, one by one, and none comes again", () => {
    const { told, on } = live({ demand: after(10, (t) => (t < 100 ? Math.min(9, t / 7) * GiB : 0.1 * GiB)), seconds: 1000 });
    expect(told.slice(0, 4)).toEqual(["+1", "+1", "+2", "+4"]);
    expect(told.findIndex((one) => one.startsWith("-"))).toBeGreaterThan(0);
    expect(told.slice(told.findIndex((one) => one.startsWith("-"))).every((one) => one.startsWith("-"))).toBe(true);
    expect(on.length).toBeLessThanOrEqual(2);
  });

  test.each([0.2, 0.6, 0.9, 1.4, 2, 2.6, 3.3, 5, 7.7])("%d GiB for an hour, a little more and less: it settles, and does not come and go", (gib) => {
    const { told, missing } = live({ demand: after(10, (t) => (Math.min(1, t / 60) * gib + 0.05 * Math.sin(t / 20)) * GiB), seconds: 3600 });
    expect(missing).toBeLessThanOrEqual(0);
    const added = told.filter((one) => one.startsWith("+")).length;
    expect(added).toBeLessThanOrEqual(5);
    expect(told.length - added).toBeLessThanOrEqual(4);
  });
});
