// Minutes of memory pressure on swap that the daemon serves (swapon --loop): every page must come back, and nothing may hang.

import { UserError, exitCode } from "../base/errors";
import { runPressure, type PressureProgress } from "../sys/pressure";
import { contender } from "./contenders";
import { deviceFor, nextStep, type BenchContext, type GroupResult } from "./context";
import { atMost, type ValueRule, Samples, type RowHead } from "./samples";
import { swapDeviceBytes, swapStages } from "./swap";

const mib = 2 ** 20;
const residentBytes = 64 * mib;
const byteLength = 192 * mib;
const threads = 4;
/** Without a touch for so long it hangs; a busy machine takes a second or two. */
const hangMs = 60_000;

const who = "swapfs-loop";
const rows = { bad: "pressure: bad pages", pause: "pressure: longest pause", touches: "pressure: touches", requests: "pressure: FUSE requests" };
const head = { group: "swap", contenders: [who] } as const;
const heads: readonly RowHead[] = [
  { ...head, name: rows.bad, unit: "", better: "less" },
  { ...head, name: rows.pause, unit: "ms", better: "less" },
  { ...head, name: rows.touches, unit: "", better: "more" },
  { ...head, name: rows.requests, unit: "", better: "less" },
];
const bounds: readonly ValueRule[] = [
  { rows: new RegExp(`^${rows.bad}$`), bound: atMost(0) }, { rows: new RegExp(`^${rows.pause}$`), bound: atMost(hangMs) },
];

export async function benchPressure(context: BenchContext): Promise<GroupResult> {
  const device = await deviceFor(context, swapDeviceBytes);
  await nextStep(context, "pressure: setting up swapfs --loop");
  await device.renew();
  const requests = swapStages[who](context, device.path)!;
  const before = requests();
  const seconds = context.quick ? 2 : context.minutes * 60;
  const watched = watch(context, seconds);
  try {
    const result = await runPressure({
      byteLength, residentBytes, threads, seconds, signal: AbortSignal.any([context.signal, watched.signal]), onProgress: watched.see,
    });
    const samples = new Samples();
    samples.add(rows.bad, who, 0, result.badPages);
    samples.add(rows.pause, who, 0, Math.round(watched.longestPauseMs()));
    samples.add(rows.touches, who, 0, result.touches);
    samples.add(rows.requests, who, 0, requests() - before);
    return { contenders: [contender(who)], rows: samples.rows(heads, [], bounds) };
  } finally {
    watched.end();
  }
}

/** Shows progress, measures the longest time without any, and gives up when it hangs. */
function watch(context: BenchContext, seconds: number) {
  const hang = new AbortController();
  const began = performance.now();
  let [seen, moved, longestMs] = [-1, began, 0];
  const timer = setInterval(() => {
    if (performance.now() - moved < hangMs) return;
    hang.abort(new UserError(exitCode.internal, `cannot go on: no page was touched for ${hangMs / 1000} s, look at dmesg and swapfs status`));
  }, 1000);
  const see = ({ phase, done }: PressureProgress): void => {
    if (done === seen) return;
    const now = performance.now();
    longestMs = Math.max(longestMs, now - moved);
    [seen, moved] = [done, now];
    const minute = Math.floor((now - began) / 60_000);
    context.say(`pressure: minute ${minute + 1} of ${Math.ceil(seconds / 60)}, ${phase}, ${done.toLocaleString("en-US")} pages`);
  };
  return { signal: hang.signal, see, longestPauseMs: () => longestMs, end: () => clearInterval(timer) };
}
