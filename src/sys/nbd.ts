// Network block devices: what becomes of them when their server dies. Without dead_conn_timeout, which only netlink can set, the
// kernel fails every write at once (wait_for_reconnect, drivers/block/nbd.c), and swap among them. It shows that nowhere.

import * as path from "node:path";
import { listFolder, readText } from "./kernelfiles";
import { commandLine } from "./procstatus";

const remedy = "connect it with docs/nbd-keep.py, which waits for the server and connects again (docs/cli.md, Network block devices)";

/** Names of those that are connected: "nbd0". */
export function connectedNbds(root = "/"): string[] {
  return listFolder(path.join(root, "sys/block")).filter((name) => /^nbd\d+$/.test(name) && pidOf(name, root) !== undefined);
}

/** `name`: of any device. undefined: it is none, or one whose keeper is known to wait. */
export function nbdWarning(name: string, root = "/", arguments_ = commandLine): { found: string; remedy: string } | undefined {
  const nbd = /^nbd\d+/.exec(name)?.[0];
  const pid = nbd === undefined ? undefined : pidOf(nbd, root);
  if (nbd === undefined || pid === undefined || arguments_(pid).some((word) => word.endsWith("nbd-keep.py"))) return undefined;
  const fails = "when the server dies, every write fails at once, those of swap too, and the volume turns read-only";
  // The thread that called ioctl(NBD_DO_IT) is in it as long as the device is connected.
  const byIoctl = /nbd/.test(readText(path.join(root, "proc", String(pid), "wchan")) ?? "");
  const found = byIoctl ? `/dev/${nbd} is connected by ioctl (nbd-client -nonetlink, qemu-nbd): ${fails}`
    : `/dev/${nbd} is connected by netlink, and whether with dead_conn_timeout cannot be seen (nbd-client sets none): without, ${fails}`;
  return { found, remedy };
}

/** Of who connected it; it may have ended since. */
function pidOf(name: string, root: string): number | undefined {
  const text = readText(path.join(root, "sys/block", name, "pid"));
  return text === undefined ? undefined : Number(text);
}
