// swapfs metrics: the text that Prometheus reads, the addresses that it may be served at, and the dashboard that shows it.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import path from "node:path";

import { exposition } from "#src/cli/status/exposition";
import type { SharedStatus } from "#src/cli/status/gather";
import { parseAddress } from "#src/cli/status/metrics";

import { projectDir, swapfs } from "../support/mounted-run";

const process1 = { pid: 7, starts: 2, running: true, residentBytes: 1000, lockedBytes: 500 };
const status: SharedStatus = {
  mountpoint: '/mnt/"odd"\\name', source: "/srv/disk.img", device: "/dev/loop3", runDir: "/run/swapfs/7:3", engine: "native",
  processes: { keeper: process1, dataPlane: process1, controlPlane: { ...process1, running: false } },
  privileges: undefined,
  swap: [
    { path: "/mnt/a", type: "file", byteLength: 4096, usedBytes: 1024, priority: -2, deleted: false },
    { path: "/mnt/b", type: "partition", byteLength: 8192, usedBytes: 0, priority: 5, deleted: false, through: "/dev/loop4" },
  ],
  requests: { READ: 3, WRITE: 4 },
  counters: { in_flight: 1, in_flight_max: 9, maps: 2, extents: 3, errors: 0, device_errors: 0, read_bytes: 12288, written_bytes: 0 },
  latency: { read: { count: 5, p50Ns: 1500, p99Ns: 3000, buckets: [[1024, 2], [2048, 3]] }, write: { count: 0, p50Ns: undefined, p99Ns: undefined, buckets: [] } },
};

/** Every sample by name and labels; fails on a line that is none, and on a family without a type. */
function samples(text: string): Map<string, number> {
  const types = new Map<string, string>();
  const found = new Map<string, number>();
  for (const line of text.split("\n").filter((each) => each !== "")) {
    const type = /^# TYPE (\w+) (counter|gauge|histogram)$/.exec(line);
    if (type) types.set(type[1]!, type[2]!);
    if (line.startsWith("#")) continue;
    const [, sample, name, value] = /^((\w+)\{(?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*\}) (-?[\d.e+-]+)$/.exec(line) ?? [];
    expect([line, types.has(name!) || types.get(name!.replace(/_(bucket|sum|count)$/, "")) === "histogram"]).toEqual([line, true]);
    expect(name!.endsWith("_total")).toBe(types.get(name!) === "counter");
    found.set(sample!, Number(value));
  }
  return found;
}

test("every counter has its value, type and labels, whatever is in a path", async () => {
  const { text, contentType } = await exposition([status]);
  expect(contentType).toMatch(/^text\/plain; version=0\.0\.4/);
  const found = samples(text);
  const at = 'mountpoint="/mnt/\\"odd\\"\\\\name"';
  const value = (name: string, labels = ""): number | undefined => found.get(`${name}{${at}${labels}}`);
  expect(value("swapfs_volume_info", ',source="/srv/disk.img",device="/dev/loop3",engine="native"')).toBe(1);
  expect(["keeper", "data plane", "control plane"].map((name) => value("swapfs_process_up", `,process="${name}"`))).toEqual([1, 1, 0]);
  expect(value("swapfs_process_starts_total", ',process="keeper"')).toBe(2);
  expect(value("swapfs_swap_used_bytes", ',file="/mnt/a",through=""')).toBe(1024);
  expect(value("swapfs_swap_priority", ',file="/mnt/a",through=""')).toBe(-2);
  expect(value("swapfs_swap_size_bytes", ',file="/mnt/b",through="/dev/loop4"')).toBe(8192);
  expect(value("swapfs_requests_total", ',opcode="WRITE"')).toBe(4);
  expect([value("swapfs_in_flight"), value("swapfs_read_bytes_total"), value("swapfs_errors_total")]).toEqual([1, 12288, 0]);
});

test("latencies are a histogram: buckets add up, and end at all", async () => {
  const found = [...samples((await exposition([status])).text)].filter(([name]) => name.startsWith("swapfs_request_duration_seconds"));
  const read = found.filter(([name]) => name.includes('kind="read"'));
  expect(read.map(([name, value]) => [/le="([^"]+)"/.exec(name)?.[1] ?? /seconds_(\w+)/.exec(name)![1], value])).toEqual([
    ["0.000002048", 2], ["0.000004096", 5], ["+Inf", 5], ["sum", expect.closeTo(2 * 1.536e-6 + 3 * 3.072e-6, 9)], ["count", 5],
  ]);
  expect(found.filter(([name]) => name.includes('kind="write"')).map(([, value]) => value)).toEqual([0, 0, 0]);
});

test("no volume, and a volume without processes, are no error", async () => {
  expect(samples((await exposition([])).text).size).toBe(0);
  const dead = { ...status, processes: undefined, counters: {}, requests: {}, latency: {}, swap: [] };
  expect([...samples((await exposition([dead])).text).values()]).toEqual([1, 0, 0, 0]);
});

test("the dashboard asks for nothing that is not there", async () => {
  const dashboard = readFileSync(path.join(projectDir, "docs/grafana.json"), "utf8");
  const asked = [...new Set(dashboard.match(/swapfs_\w+/g))];
  const { text } = await exposition([status]);
  expect(asked.length).toBeGreaterThan(8);
  expect(asked.filter((name) => !new RegExp(`^${name}\\{`, "m").test(text))).toEqual([]);
});

test.each([
  ["9917", { host: "127.0.0.1", port: 9917 }], [":9917", { host: undefined, port: 9917 }], ["0.0.0.0:1", { host: "0.0.0.0", port: 1 }],
  ["[::1]:9917", { host: "::1", port: 9917 }], ["localhost:0", { host: "localhost", port: 0 }],
] as const)("--listen %s", (text, at) => expect(parseAddress(text)).toEqual(at));

test.each(["", "x", "65536", "::1:9917", "localhost", "host:port"])("--listen %p is a usage error", (text) => {
  expect(() => parseAddress(text)).toThrow(/cannot read --listen/);
});

test("what cannot be is said: a port in use, a folder that is not there, two ways at once", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  expect(await swapfs(["metrics", "--listen", String(port)])).toMatchObject({ status: 12, stderr: expect.stringMatching(/cannot listen on \d+: EADDRINUSE, something else listens there, give another port/) });
  other.close();
  expect(await swapfs(["metrics", "--textfile", "/nowhere/x.prom"])).toMatchObject({ status: 12, stderr: expect.stringMatching(/cannot write \/nowhere\/x\.prom: there is no folder \/nowhere, make it first/) });
  expect(await swapfs(["metrics", "--textfile", "/dev/null"])).toMatchObject({ status: 12, stderr: expect.stringMatching(/cannot write \/dev\/null: it is no regular file/) });
  expect(await swapfs(["metrics", "--textfile", "/x", "--listen", "1"])).toMatchObject({ status: 2 });
});
