// Activation: swapon of a 1 GiB file asks BMAP for each of its 262,144 pages. The peer is ntfs-3g, fuseblk as well.

import { pageSize } from "../base/units";
import { deviceFor, mountFresh, mountNtfs, pairOrder, nextStep, type BenchContext } from "./context";
import { pairedRow, soloRow, type Row } from "../report/row";
import { must, swapfs, timed } from "./tools";

const fileBytes = 2 ** 30;
const deviceBytes = 1280 * 2 ** 20;
const microseconds = 1e6;

export async function benchActivate(context: BenchContext): Promise<Row[]> {
  const ours = await ourFile(context);
  const peer = context.givenDevice === undefined ? await ntfsFile(context) : undefined;
  if (peer === undefined) context.say("activate: the peer needs a device of its own: leave --device out to see it");
  const samples = { ours: [] as number[], peer: [] as number[] };
  for (let pair = 0; pair < context.pairs; pair += 1) {
    for (const who of pairOrder(pair)) {
      const file = who === "ours" ? ours : peer;
      if (file === undefined) continue;
      await nextStep(context, `activate: pair ${pair + 1} of ${context.pairs}, ${who === "ours" ? "swapfs" : "ntfs-3g"}`);
      samples[who].push(activation(file));
    }
  }
  const head = { group: "activate", name: "swapon of 1 GiB, a page", unit: "us", better: "less" } as const;
  const faster = { text: "less than ntfs-3g", holds: (row: { ours: number; peer: number }) => row.ours < row.peer };
  return [peer === undefined ? soloRow(head, samples.ours) : pairedRow(head, samples.ours, "ntfs-3g", samples.peer, faster)];
}

async function ourFile(context: BenchContext): Promise<string> {
  const device = await deviceFor(context, deviceBytes);
  const file = `${mountFresh(context, device.path)}/a`;
  swapfs("create", file, "--size", String(fileBytes));
  return file;
}

/** ntfs-3g has no fallocate: zeros are written, which zram keeps without memory. */
async function ntfsFile(context: BenchContext): Promise<string> {
  const device = await deviceFor(context, deviceBytes);
  const file = `${mountNtfs(context, device.path)}/a`;
  must("dd", ["if=/dev/zero", `of=${file}`, "bs=1M", `count=${fileBytes / 2 ** 20}`, "status=none"]);
  must("chmod", ["600", file]);
  must("mkswap", [file]);
  return file;
}

/** Microseconds a page. */
function activation(file: string): number {
  const seconds = timed("swapon", ["-p", "10", file]);
  must("swapoff", [file]);
  return (seconds * microseconds) / (fileBytes / pageSize);
}
