// CLOCK_REALTIME with nanoseconds. Node offers it in milliseconds only, so the monotonic clock is anchored to it.

import type { Time } from "../volume/changes";

const millisecond = 1e6;
const second = 1e9;
// How far the anchored clock may run ahead of Date.now() before the system clock must have been set back.
const toleranceNs = 2 * millisecond;

export function realtimeClock(): () => Time {
  const origin = process.hrtime();
  /** CLOCK_REALTIME in nanoseconds at `origin`; a double holds it to 256 ns */
  let anchorNs = -Infinity;
  // Date.now() is never ahead of the clock, so the largest anchor seen is the best one, unless the clock was set back.
  const realtimeNs = (): number => {
    const [seconds, nanoseconds] = process.hrtime(origin);
    const elapsed = seconds * second + nanoseconds;
    const floorNs = Date.now() * millisecond;
    if (floorNs - elapsed > anchorNs || anchorNs + elapsed > floorNs + toleranceNs) anchorNs = floorNs - elapsed;
    return anchorNs + elapsed;
  };
  const first = Date.now();
  // Date.now() cuts the rest of a millisecond off: the moment that it ticks it is exact.
  while (Date.now() === first);
  realtimeNs();
  return () => {
    const ns = realtimeNs();
    const seconds = Math.floor(ns / second);
    return { seconds, nanoseconds: Math.min(second - 1, Math.max(0, Math.floor(ns - seconds * second))) };
  };
}

/** CLOCK_REALTIME nanoseconds since 1970 as the data plane counts them. */
export function timeOfNs(ns: bigint): Time {
  return { seconds: Number(ns / 1_000_000_000n), nanoseconds: Number(ns % 1_000_000_000n) };
}

export function isLater(a: Time, b: Time): boolean {
  return a.seconds > b.seconds || (a.seconds === b.seconds && a.nanoseconds > b.nanoseconds);
}
