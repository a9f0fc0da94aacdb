// The estimate and the bar, with a clock of the test's.

import { ProgressBar, type Style, aboutText, Rate } from "#src/cli/common/progressbar";

test("nothing is said before enough was measured, then the rate of the last seconds", () => {
  const rate = new Rate();
  rate.add(0, 0);
  rate.add(500, 1000);
  expect(rate.perSecond).toBeUndefined();
  for (let ms = 1000; ms <= 20_000; ms += 500) rate.add(ms, ms * 2);
  expect(rate.perSecond).toBeCloseTo(2000, 0);
  for (let ms = 20_500; ms <= 40_000; ms += 500) rate.add(ms, 40_000 + (ms - 20_000) / 2); // four times slower from here
  expect(rate.perSecond).toBeGreaterThan(490);
  expect(rate.perSecond).toBeLessThan(530);
});

test("one slow step moves the estimate, and does not throw it about", () => {
  const rate = new Rate();
  for (let ms = 0; ms <= 10_000; ms += 100) rate.add(ms, ms);
  rate.add(12_000, 10_100);
  expect(rate.perSecond).toBeGreaterThan(500);
  expect(rate.perSecond).toBeLessThan(1000);
});

test("nothing done yet, or begun anew: no rate, no infinite time", () => {
  const rate = new Rate();
  for (let ms = 0; ms <= 5000; ms += 100) rate.add(ms, 0);
  expect(rate.perSecond).toBeUndefined();
  rate.add(5100, 100);
  rate.add(5200, 50);
  rate.add(5300, 150);
  expect(rate.perSecond).toBeGreaterThan(0);
});

test.each([
  [0.2, "about 1 s"], [7.4, "about 7 s"], [43, "about 45 s"], [89, "about 90 s"], [200, "about 3 min"], [5399, "about 90 min"],
  [7800, "about 2 h 10 min"], [7200, "about 2 h"],
])("%d seconds are %s", (seconds, text) => expect(aboutText(seconds)).toBe(text));

function shown(style: Style, stepMs: number): string[] {
  const out: string[] = [];
  let now = 0;
  const bar = new ProgressBar(style, (text) => out.push(text), () => now);
  for (let done = 0; done <= 51_200; done += 1024) {
    bar.show({ what: "copying", done, total: 51_200 });
    now += stepMs;
  }
  bar.end();
  return out;
}

test("a terminal: one line that is written over, cleared at the end", () => {
  const out = shown("terminal", 40);
  expect(out[0]).toBe("\r\x1b[K[------------------------] copying   0 %, 0 B of 200 MiB");
  expect(out[30]).toBe("\r\x1b[K[##############----------] copying  60 %, 120 MiB of 200 MiB, 100 MiB/s, about 1 s left");
  expect(out.at(-1)).toBe("\r\x1b[K");
});

test("no terminal: nothing for what is over at once, then a plain line for each tenth, and the last", () => {
  expect(shown("lines", 10)).toEqual([]);
  const out = shown("lines", 40);
  expect(out).toHaveLength(6);
  expect(out[0]).toBe("copying  50 %, 100 MiB of 200 MiB, 100 MiB/s, about 1 s left\n");
  expect(out[5]).toBe("copying 100 %, 200 MiB of 200 MiB, 100 MiB/s\n");
  expect(shown("lines", 20_000)).toHaveLength(50); // slow: each step is a line
});

test("for programs: the same as JSON lines", () => {
  const [first, ...rest] = shown("json", 40).map((line) => JSON.parse(line) as object);
  expect(first).toMatchObject({ what: "copying", done: 25_600, total: 51_200 });
  expect(rest.at(-1)).toMatchObject({ done: 51_200, secondsLeft: 0 });
});
