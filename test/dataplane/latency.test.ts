import { bucketOf, latencyOf } from "#src/dataplane/latency";

test.each([[0, 0], [1, 0], [2, 1], [3, 1], [4095, 11], [4096, 12], [2 ** 39, 39], [1e300, 39]])("bucketOf(%d ns) is %d", (ns, bucket) => {
  expect(bucketOf(ns)).toBe(bucket);
});

test("latencyOf: quantiles lie in the bucket that holds them", () => {
  const counts = Array.from({ length: 40 }, () => 0);
  counts[10] = 98;
  counts[20] = 2;
  const { count, p50Ns, p99Ns, buckets } = latencyOf(counts);
  expect(count).toBe(100);
  expect(p50Ns).toBe(Math.round(1024 + 1024 * (50 / 98)));
  expect(p99Ns).toBe(2 ** 20 + 2 ** 19);
  expect(buckets).toEqual([[1024, 98], [2 ** 20, 2]]);
});

test("latencyOf: nothing counted has no quantile", () => {
  expect(latencyOf([0, 0])).toEqual({ count: 0, p50Ns: undefined, p99Ns: undefined, buckets: [] });
});
