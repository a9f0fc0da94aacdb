// Latency histograms of the session segment: bucket b counts what took from 2^b to 2^(b+1) ns.

import { latencyBuckets } from "./session";

export type Latency = Readonly<ReturnType<typeof latencyOf>>;

export function bucketOf(ns: number): number {
  return ns < 2 ? 0 : Math.min(Math.floor(Math.log2(ns)), latencyBuckets - 1);
}

export function latencyOf(counts: readonly number[]) {
  const count = counts.reduce((sum, value) => sum + value, 0);
  return {
    count, p50Ns: quantileNs(counts, count, 0.5), p99Ns: quantileNs(counts, count, 0.99),
    /** [least ns, count] of each bucket that is not empty */
    buckets: counts.flatMap((value, bucket) => (value === 0 ? [] : [[leastNs(bucket), value] as const])),
  };
}

function leastNs(bucket: number): number {
  return bucket === 0 ? 0 : 2 ** bucket;
}

/** An estimate: a place inside the bucket, as if its answers were spread evenly. Undefined while nothing was counted. */
function quantileNs(counts: readonly number[], count: number, quantile: number): number | undefined {
  let left = count * quantile;
  for (const [bucket, value] of counts.entries()) {
    if (value > 0 && left <= value) {
      const least = leastNs(bucket);
      return Math.round(least + (2 ** (bucket + 1) - least) * (left / value));
    }
    left -= value;
  }
  return undefined;
}
