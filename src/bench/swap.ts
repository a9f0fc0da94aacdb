// Swap on a swapfile of ours on a device, beside swap on the device itself.

import { runPressure, type PressureResult } from "../sys/pressure";
import { deviceFor, mountFresh, pairOrder, unmountOurs, nextStep, type BenchContext } from "./context";
import type { BenchDevice } from "./device";
import { pairedRow, soloRow, type Row } from "../report/row";
import { must, requestsOf, swapfs } from "./tools";

const workload = { byteLength: 256 * 2 ** 20, residentBytes: 64 * 2 ** 20, seconds: 4 };
const areaBytes = 384 * 2 ** 20;
const deviceBytes = 512 * 2 ** 20;
/** Above what the machine has on: the workload's pages go here. */
const priority = "30000";

interface Sample extends PressureResult {
  readonly requests: number;
}

export async function benchSwap(context: BenchContext): Promise<Row[]> {
  const device = await deviceFor(context, deviceBytes);
  const samples = { ours: [] as Sample[], peer: [] as Sample[] };
  for (let pair = 0; pair < context.pairs; pair += 1) {
    for (const who of pairOrder(pair)) {
      await nextStep(context, `swap: pair ${pair + 1} of ${context.pairs}, ${who === "ours" ? "file on swapfs" : "raw device"}`);
      await device.renew();
      samples[who].push(await (who === "ours" ? onSwapfs(context, device) : onDevice(context, device)));
    }
  }
  return rows(samples, device);
}

async function onSwapfs(context: BenchContext, device: BenchDevice): Promise<Sample> {
  const mountpoint = mountFresh(context, device.path);
  swapfs("create", `${mountpoint}/a`, "--size", String(areaBytes), "--on", "--priority", priority);
  const before = requestsOf(mountpoint);
  const result = await runPressure({ ...workload, signal: context.signal });
  const requests = requestsOf(mountpoint) - before;
  unmountOurs(mountpoint);
  return { ...result, requests };
}

async function onDevice(context: BenchContext, device: BenchDevice): Promise<Sample> {
  must("mkswap", [device.path, String(areaBytes / 1024)]);
  must("swapon", ["-p", priority, device.path]);
  try {
    return { ...(await runPressure({ ...workload, signal: context.signal })), requests: 0 };
  } finally {
    must("swapoff", [device.path]);
  }
}

function rows({ ours, peer }: { ours: Sample[]; peer: Sample[] }, device: BenchDevice): Row[] {
  const raw = `raw ${device.kind === "zram" ? "zram" : "device"}`;
  const head = { group: "swap", better: "more", unit: "MB/s" } as const;
  const fill = (sample: Sample): number => sample.bytes / 1e6 / sample.fillSeconds;
  const back = (sample: Sample): number => sample.bytes / 1e6 / sample.verifySeconds;
  const within = { text: "within 5 %", holds: ({ ratio }: { ratio: number }) => ratio >= 0.95 };
  const withinTime = { text: "within 5 %", holds: ({ ratio }: { ratio: number }) => ratio <= 1.05 };
  return [
    pairedRow({ ...head, name: "random touch", unit: "us", better: "less" }, ours.map((s) => s.usPerTouch), raw, peer.map((s) => s.usPerTouch), withinTime),
    pairedRow({ ...head, name: "fill (swap out)" }, ours.map(fill), raw, peer.map(fill), within),
    pairedRow({ ...head, name: "read back (swap in)" }, ours.map(back), raw, peer.map(back), within),
    soloRow({ ...head, name: "FUSE requests in the run", unit: "", better: "less" }, ours.map((s) => s.requests), { text: "0", holds: (row) => row.ours === 0 }),
    soloRow({ ...head, name: "bad pages", unit: "", better: "less" }, [...ours, ...peer].map((s) => s.badPages), { text: "0", holds: (row) => row.ours === 0 }),
  ];
}
