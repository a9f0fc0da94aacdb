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
  const watch = new Watch(context, seconds);
  try {
    const result = await runPressure({
      byteLength, residentBytes, threads, seconds, signal: AbortSignal.any([context.signal, watch.signal]), onProgress: (step) => watch.see(step),
    });
    const samples = new Samples();
    samples.add(rows.bad, who, 0, result.badPages);
    samples.add(rows.pause, who, 0, Math.round(watch.longestPauseMs));
    samples.add(rows.touches, who, 0, result.touches);
    samples.add(rows.requests, who, 0, requests() - before);
    return { contenders: [contender(who)], rows: samples.rows(heads, [], bounds) };
  } finally {
    watch.end();
  }
}

/** Progress, and the longest time without any. */
class Watch {
  readonly #context: BenchContext;
  readonly #seconds: number;
  readonly #hang = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #began = performance.now();
  #done = -1;
  #moved = performance.now();
  longestPauseMs = 0;

  constructor(context: BenchContext, seconds: number) {
    this.#context = context;
    this.#seconds = seconds;
    this.#timer = setInterval(() => this.#look(), 1000);
  }

  get signal(): AbortSignal {
    return this.#hang.signal;
  }

  see({ phase, done }: PressureProgress): void {
    if (done === this.#done) return;
    const now = performance.now();
    this.longestPauseMs = Math.max(this.longestPauseMs, now - this.#moved);
    this.#moved = now;
    this.#done = done;
    const minute = Math.floor((now - this.#began) / 60_000);
    this.#context.say(`pressure: minute ${minute + 1} of ${Math.ceil(this.#seconds / 60)}, ${phase}, ${done.toLocaleString("en-US")} pages`);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    if (performance.now() - this.#moved < hangMs) return;
    this.#hang.abort(new UserError(exitCode.internal, `cannot go on: no page was touched for ${hangMs / 1000} s, look at dmesg and swapfs status`));
  }
}
