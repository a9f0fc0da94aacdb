// Latency histograms of the session segment: bucket b counts what took from 2^b to 2^(b+1) ns.

import { latencyBuckets } from "./session";

export interface Latency {
  readonly count: number;
  /** Estimates: a place inside the bucket, as if its answers were spread evenly. Undefined while nothing was counted. */
  readonly p50Ns: number | undefined;
  readonly p99Ns: number | undefined;
  /** [least ns, count] of each bucket that is not empty */
  readonly buckets: readonly (readonly [number, number])[];
}

export function bucketOf(ns: number): number {
  return ns < 2 ? 0 : Math.min(Math.floor(Math.log2(ns)), latencyBuckets - 1);
}

export function latencyOf(counts: readonly number[]): Latency {
  const count = counts.reduce((sum, value) => sum + value, 0);
  return {
    count, p50Ns: quantileNs(counts, count, 0.5), p99Ns: quantileNs(counts, count, 0.99),
    buckets: counts.flatMap((value, bucket) => (value === 0 ? [] : [[leastNs(bucket), value] as const])),
  };
}

function leastNs(bucket: number): number {
  return bucket === 0 ? 0 : 2 ** bucket;
}

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
