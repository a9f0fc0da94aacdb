// Sequential I/O with dd: through the mount as people do it, beside direct I/O to the bare device below.

import { randomFillSync } from "node:crypto";
import { closeSync, existsSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deviceFor, mountFresh, pairOrder, unmountOurs, nextStep, type BenchContext } from "./context";
import { pairedRow, type Row } from "../report/row";
import { timed } from "./tools";

const megabytes = 256;
const deviceBytes = 512 * 2 ** 20;

interface Sample {
  readonly write: number;
  readonly rewrite: number;
  readonly read: number;
}

export async function benchIo(context: BenchContext): Promise<Row[]> {
  const device = await deviceFor(context, deviceBytes);
  const input = randomFile(context);
  const samples = { ours: [] as Sample[], peer: [] as Sample[] };
  for (let pair = 0; pair < context.pairs; pair += 1) {
    for (const who of pairOrder(pair)) {
      await nextStep(context, `io: pair ${pair + 1} of ${context.pairs}, ${who === "ours" ? "through the mount" : "bare device"}`);
      await device.renew();
      if (who === "peer") samples.peer.push(onDevice(device.path, input));
      else samples.ours.push(throughMount(context, device.path, input));
    }
  }
  const head = { group: "io", unit: "MB/s", better: "more" } as const;
  const bound = { text: "at least 0.7", holds: ({ ratio }: { ratio: number }) => ratio >= 0.7 };
  return [
    pairedRow({ ...head, name: "dd bs=1M, write a new file" }, samples.ours.map((s) => s.write), "device, oflag=direct", samples.peer.map((s) => s.write), bound),
    pairedRow({ ...head, name: "dd bs=1M, write over a file" }, samples.ours.map((s) => s.rewrite), "device, oflag=direct", samples.peer.map((s) => s.rewrite), bound),
    pairedRow({ ...head, name: "dd bs=1M, read" }, samples.ours.map((s) => s.read), "device, iflag=direct", samples.peer.map((s) => s.read)),
  ];
}

function throughMount(context: BenchContext, device: string, input: string): Sample {
  const mountpoint = mountFresh(context, device);
  const file = `${mountpoint}/data`;
  const write = rate(timed("dd", [`if=${input}`, `of=${file}`, "bs=1M", "conv=fsync", "status=none"]));
  const rewrite = rate(timed("dd", [`if=${input}`, `of=${file}`, "bs=1M", "conv=fsync,notrunc", "status=none"]));
  dropCaches();
  const read = rate(timed("dd", [`if=${file}`, "of=/dev/null", "bs=1M", "status=none"]));
  unmountOurs(mountpoint);
  return { write, rewrite, read };
}

function onDevice(device: string, input: string): Sample {
  const once = (): number => rate(timed("dd", [`if=${input}`, `of=${device}`, "bs=1M", "oflag=direct", "conv=fsync", "status=none"]));
  const write = once();
  const rewrite = once();
  const read = rate(timed("dd", [`if=${device}`, "of=/dev/null", "bs=1M", "iflag=direct", `count=${megabytes}`, "status=none"]));
  return { write, rewrite, read };
}

function rate(seconds: number): number {
  return (megabytes * 2 ** 20) / 1e6 / seconds;
}

/** Pages of the file only leave the cache when they are clean: dd has synced them. */
function dropCaches(): void {
  writeFileSync("/proc/sys/vm/drop_caches", "1");
}

/** Contents that do not compress, in memory: zeros cost a zram device nothing and would flatter nobody. */
function randomFile(context: BenchContext): string {
  const path = join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), `swapfs-bench-${process.pid}`);
  context.cleanup.add(`remove ${path}`, () => rmSync(path, { force: true }));
  const fd = openSync(path, "wx", 0o600);
  const chunk = Buffer.allocUnsafe(2 ** 20);
  for (let written = 0; written < megabytes; written += 1) writeSync(fd, randomFillSync(chunk));
  closeSync(fd);
  return path;
}
