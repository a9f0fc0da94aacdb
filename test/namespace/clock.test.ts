// CLOCK_REALTIME in nanoseconds.

import { isLater, realtimeClock, timeOfNs } from "#src/namespace/clock";

test("realtimeClock: within two milliseconds of Date.now(), with nanoseconds below a second", () => {
  const now = realtimeClock();
  for (let n = 0; n < 1000; n += 1) {
    const before = Date.now();
    const { seconds, nanoseconds } = now();
    const ms = seconds * 1000 + nanoseconds / 1e6;
    expect(ms).toBeGreaterThanOrEqual(before - 2);
    expect(ms).toBeLessThan(Date.now() + 2);
    expect(Number.isInteger(nanoseconds) && nanoseconds >= 0 && nanoseconds < 1e9).toBe(true);
  }
});

test("realtimeClock: follows a system clock that is set forwards and back", () => {
  const real = Date.now;
  try {
    const now = realtimeClock();
    for (const offset of [3_600_000, -7_200_000]) {
      Date.now = () => real() + offset;
      expect(Math.abs(now().seconds * 1000 - Date.now())).toBeLessThan(1100);
    }
  } finally {
    Date.now = real;
  }
});

test("timeOfNs and isLater", () => {
  expect(timeOfNs(1_700_000_000_000_000_001n)).toEqual({ seconds: 1_700_000_000, nanoseconds: 1 });
  const at = (seconds: number, nanoseconds: number) => ({ seconds, nanoseconds });
  expect([isLater(at(1, 5), at(1, 4)), isLater(at(1, 4), at(1, 4)), isLater(at(2, 0), at(1, 9)), isLater(at(-2, 0), at(-1, 0))])
    .toEqual([true, false, true, false]);
});
