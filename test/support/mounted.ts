// Mounts of swapfs for the tests, made with the CLI, as a person makes them.

import { promises as fs } from "node:fs";

import type { Cleanup } from "./mounted-cleanup";
import { must, run, sleep, swapfs, swapfsCommand, until, type Done } from "./mounted-run";
import { whileNobodyHas } from "./turns";

export interface SwapfsOptions {
  readonly engine?: "native" | "fuse-native";
  readonly args?: readonly string[];
  /** It has the turn "request timeouts", for which other mounts wait. */
  readonly hasTurn?: boolean;
  /** an installed command instead of the checkout's */
  readonly command?: string;
}

/** Mounts `source` on `mountpoint` (made when missing) and undoes it at the end, whatever state it is in. */
export async function mountSwapfs(
  cleanup: Cleanup, source: string, mountpoint: string, options: SwapfsOptions = {},
): Promise<void> {
  const done = await tryMount(cleanup, source, mountpoint, options);
  if (done.status !== 0) throw new Error(`mount ${source}: status ${done.status}\n${done.stdout}${done.stderr}`);
}

/** The same for a mount that is expected to fail. */
export async function tryMount(
  cleanup: Cleanup, source: string, mountpoint: string, options: SwapfsOptions = {},
): Promise<Done> {
  await fs.mkdir(mountpoint, { recursive: true });
  cleanup.add(mountpoint, () => takeDown(mountpoint));
  const engine = options.engine && options.engine !== "native" ? ["--engine", options.engine] : [];
  const words = ["mount", source, mountpoint, ...engine, ...(options.args ?? [])];
  const command: [string, ...string[]] = options.command ? [process.execPath, options.command, ...words] : swapfsCommand(words);
  const [program, ...args] = options.hasTurn ? command : whileNobodyHas("request timeouts", command);
  return run(program, args);
}

/** umount(8), and then the end of every process and of the loop device, which it does not wait for. */
export async function umount(mountpoint: string): Promise<void> {
  await must("umount", [mountpoint]);
  await ended(mountpoint);
}

/** Waits until no process names the mountpoint any more. */
export async function ended(mountpoint: string, timeoutMs = 60_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while ((await serving(mountpoint)).length > 0) {
    if (Date.now() > end) throw new Error(`still running: ${(await serving(mountpoint)).join("; ")}`);
    await sleep(20);
  }
}

export async function isMounted(mountpoint: string): Promise<boolean> {
  return (await fs.readFile("/proc/self/mountinfo", "utf8")).includes(` ${mountpoint} `);
}

/** Files of /proc/swaps that lie below `dir`. */
export async function swappedOn(dir: string): Promise<string[]> {
  const swaps = await fs.readFile("/proc/swaps", "utf8");
  return swaps.split("\n").map((line) => line.split(/\s+/)[0]!).filter((name) => name.startsWith(`${dir}/`));
}

/** Processes of the mount: those that name it, and their children (keeper, data plane, control plane). */
export async function serving(mountpoint: string): Promise<string[]> {
  const all = await processes();
  const named = all.filter((one) => one.command.split("\0").includes(mountpoint) || one.environment.includes(`SWAPFS_MOUNTPOINT=${mountpoint}`));
  const pids = new Set(named.map((one) => one.pid));
  return all.filter((one) => (pids.has(one.pid) || pids.has(one.parent)) && /swapfs-(keeper|dataplane)|dist\/engine/.test(one.command))
    .map((one) => `${one.pid} ${one.command.replaceAll("\0", " ").trim()}`);
}

export type Role = "keeper" | "data plane" | "control plane";

const roleNames: Readonly<Record<Role, RegExp>> = {
  keeper: /swapfs-keeper/, "data plane": /^\d+ \S*swapfs-dataplane/, "control plane": /^\d+ \S*node.* \S*engine\/native\/main\.js/,
};

/** The pid that has the role now, undefined while there is none. */
export async function pidOf(mountpoint: string, role: Role): Promise<number | undefined> {
  const line = (await serving(mountpoint)).find((one) => roleNames[role].test(one));
  return line === undefined ? undefined : Number(line.split(" ")[0]);
}

export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** SIGKILL, and back when another process has taken the role. */
export async function killAndAwait(mountpoint: string, role: Role): Promise<void> {
  const old = await pidOf(mountpoint, role);
  if (old !== undefined) process.kill(old, "SIGKILL");
  await until(`the keeper has started another ${role}`, async () => {
    const now = await pidOf(mountpoint, role);
    return now !== undefined && now !== old;
  });
}

/** `swapfs status --json` of one mount. */
export async function statusOf(mountpoint: string): Promise<any> {
  const done = await swapfs(["status", mountpoint, "--json"]);
  if (done.status !== 0) throw new Error(`status: ${done.status} ${done.stderr}`);
  return JSON.parse(done.stdout).volumes[0];
}

interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
  readonly environment: readonly string[];
}

async function processes(): Promise<ProcessRow[]> {
  const rows: ProcessRow[] = [];
  for (const pid of await fs.readdir("/proc")) {
    if (!/^\d+$/.test(pid) || pid === String(process.pid)) continue;
    const read = (file: string): Promise<string> => fs.readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
    const command = await read("cmdline");
    if (!/swapfs|engine/.test(command)) continue;
    const parent = Number(/^\d+ \(.*\) \S (\d+)/s.exec(await read("stat"))?.[1] ?? 0);
    rows.push({ pid: Number(pid), parent, command, environment: (await read("environ")).split("\0") });
  }
  return rows;
}

/**
 * The last word: swap off, unmount, and when that does not go, detach the mount and kill its processes, which ends every
 * request that still waits, so that the next test can run.
 */
async function takeDown(mountpoint: string): Promise<void> {
  for (const file of await swappedOn(mountpoint)) await must("swapoff", [file], { timeoutMs: 30_000 });
  for (let attempt = 0; (await isMounted(mountpoint)) && attempt < 20; attempt += 1) {
    const done = await run("umount", [mountpoint], { timeoutMs: 5000 });
    if (done.status !== 0) await sleep(100);
  }
  if (!(await isMounted(mountpoint))) return ended(mountpoint);
  await run("umount", ["--lazy", mountpoint]);
  // The keeper first: it would start the others again.
  const pids = (await serving(mountpoint)).sort((a, b) => Number(/keeper/.test(b)) - Number(/keeper/.test(a)));
  for (const line of pids) process.kill(Number(line.split(" ")[0]), "SIGKILL");
  throw new Error("busy until the end, detached with umount --lazy and killed");
}
