// The counters of mounted volumes in the text format of Prometheus, named after its conventions.

import { Counter, Gauge, Registry, type Metric, type MetricType } from "prom-client";
import type { SharedStatus } from "./gather";

type Labels = Readonly<Record<string, string>>;
type Put = (type: "counter" | "gauge", name: string, help: string, labels: Labels, value: number) => void;

/** Of the counters in shared memory these go down as well. */
const gauges: ReadonlySet<string> = new Set(["maps", "extents", "in_flight", "in_flight_max"]);

/** The content of /metrics; `contentType` goes with it. */
export async function exposition(volumes: readonly SharedStatus[]): Promise<{ text: string; contentType: string }> {
  const registry = new Registry();
  const metrics = new Map<string, Counter | Gauge>();
  const put: Put = (type, name, help, labels, value) => {
    let metric = metrics.get(name);
    if (metric === undefined) {
      metric = new (type === "counter" ? Counter : Gauge)({ name, help, labelNames: Object.keys(labels), registers: [registry] });
      metrics.set(name, metric);
    }
    metric.inc(labels, value);
  };
  for (const volume of volumes) volumeMetrics(volume, put);
  registry.registerMetric(durations(volumes));
  return { text: await registry.metrics(), contentType: registry.contentType };
}

function volumeMetrics({ mountpoint, source, device, engine, processes, swap, requests, counters }: SharedStatus, put: Put): void {
  put("gauge", "swapfs_volume_info", "A mounted volume; always 1.", { mountpoint, source, device, engine }, 1);
  const names = { keeper: "keeper", dataPlane: "data plane", controlPlane: "control plane" } as const;
  for (const [key, process] of Object.entries(names)) {
    const facts = processes?.[key as keyof typeof names];
    const labels = { mountpoint, process };
    put("gauge", "swapfs_process_up", "Whether the process runs.", labels, facts?.running ? 1 : 0);
    if (!facts) continue;
    put("counter", "swapfs_process_starts_total", "Starts since the mount; 1: it never died.", labels, facts.starts);
    put("gauge", "swapfs_process_resident_bytes", "Resident memory of the process.", labels, facts.residentBytes);
    put("gauge", "swapfs_process_locked_bytes", "Locked memory of the process.", labels, facts.lockedBytes);
  }
  for (const { path: file, through = "", byteLength, usedBytes, priority } of swap) {
    const labels = { mountpoint, file, through };
    put("gauge", "swapfs_swap_size_bytes", "Size of a swap area on a file of the volume.", labels, byteLength);
    put("gauge", "swapfs_swap_used_bytes", "What of it is in use.", labels, usedBytes);
    put("gauge", "swapfs_swap_priority", "Its priority.", labels, priority);
  }
  for (const [opcode, count] of Object.entries(requests)) {
    put("counter", "swapfs_requests_total", "Requests read from /dev/fuse, by opcode.", { mountpoint, opcode }, count);
  }
  for (const [name, value] of Object.entries(counters)) {
    const help = `${name} of swapfs status, see docs/cli.md.`;
    if (gauges.has(name)) put("gauge", `swapfs_${name}`, help, { mountpoint }, value);
    else put("counter", `swapfs_${name}_total`, help, { mountpoint }, value);
  }
}

/** The volumes count in buckets of powers of two; of the sum they know as much as that. */
function durations(volumes: readonly SharedStatus[]): Metric {
  const name = "swapfs_request_duration_seconds";
  const values = volumes.flatMap(({ mountpoint, latency }) => Object.entries(latency).flatMap(([kind, { count, buckets }]) => {
    const labels = { mountpoint, kind };
    const series: { metricName: string; labels: Labels; value: number }[] = [];
    let below = 0;
    let sum = 0;
    for (const [bucketNs, times] of buckets) {
      const leastNs = Math.max(bucketNs, 1);
      below += times;
      sum += times * leastNs * 1.5e-9;
      series.push({ metricName: `${name}_bucket`, labels: { ...labels, le: String(leastNs * 2e-9) }, value: below });
    }
    return [
      ...series, { metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: count },
      { metricName: `${name}_sum`, labels, value: sum }, { metricName: `${name}_count`, labels, value: count },
    ];
  }));
  const described = {
    name, help: "From reading a request until its answer was written, by kind; the sum is estimated from the buckets.", type: "histogram" as unknown as MetricType,
    aggregator: "sum" as const, values,
  };
  return { name, get: () => Promise.resolve(described) } as unknown as Metric;
}
