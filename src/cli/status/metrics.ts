// swapfs metrics [--listen ADDRESS | --textfile FILE]

import { lstatSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { dirname } from "node:path";
import type { Command } from "commander";
import { messageOf } from "../../base/errors";
import { ifAny } from "../../sys/kernelfiles";
import { readMounts } from "../../sys/mounttable";
import { readSwaps, swapsOn } from "../../sys/procswaps";
import { mountedVolumes } from "../common/mounted";
import { Interrupted, failed, requireRoot, untilInterrupted, unusable, usageError } from "../common/outcome";
import { note, warn } from "../common/output";
import { exposition } from "./exposition";
import { viewsShown } from "../swap/blockview";
import { sharedStatus } from "./gather";

export function define(command: Command): void {
  command
    .description("Print the counters of all mounted volumes in the text format of Prometheus, or serve them.")
    .option("--listen <address>", "serve them at http://ADDRESS/metrics until Ctrl-C: PORT (of 127.0.0.1), :PORT (of all addresses), HOST:PORT")
    .option("--textfile <file>", "write them into FILE at once, for the textfile collector of node_exporter")
    .addHelpText("after", `
Examples:
  swapfs metrics
  swapfs metrics --listen 9917
  swapfs metrics --textfile /var/lib/prometheus/node-exporter/swapfs.prom

They are read from memory that the processes of a volume share: nothing is asked of the filesystem, and it works while a process is down.

Exit codes: 0 printed or written, 2 usage, 12 the address or the file cannot be used, 70 internal, 130 interrupted.`)
    .action(async (options: { listen?: string; textfile?: string }) => {
      if (options.listen !== undefined && options.textfile !== undefined) throw usageError("cannot serve and write: give --listen or --textfile");
      requireRoot("read the counters");
      if (options.listen !== undefined) return serve(options.listen);
      const { text } = await now();
      if (options.textfile === undefined) process.stdout.write(text);
      else writeWhole(options.textfile, text);
    });
}

/** Of several mounts on one mountpoint that which is seen. A volume may end while it is looked at. */
async function now(): ReturnType<typeof exposition> {
  const [areas, mounts] = [readSwaps(), readMounts()];
  const volumes = [...new Map(mountedVolumes().map((volume) => [volume.mountpoint, volume])).values()];
  return exposition(volumes.flatMap((volume) => {
    try {
      return [sharedStatus(volume, swapsOn(volume.deviceNumber, areas, mounts), ifAny(() => viewsShown(volume)) ?? [])];
    } catch (error) {
      warn(`${volume.mountpoint} is left out: ${messageOf(error)}`);
      return [];
    }
  }));
}

/** The collector reads at any time, so it finds the file as it was or as it is. */
function writeWhole(file: string, text: string): void {
  const half = `${file}.${process.pid}`;
  try {
    if (ifAny(() => lstatSync(file))?.isFile() === false) throw failed(`cannot write ${file}: it is no regular file, name one`);
    rmSync(half, { force: true });
    writeFileSync(half, text, { mode: 0o644, flag: "wx" }); // never through what somebody has put there
    renameSync(half, file);
  } catch (error) {
    rmSync(half, { force: true });
    const folderMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw folderMissing ? failed(`cannot write ${file}: there is no folder ${dirname(file)}, make it first`) : unusable("write", file, error);
  }
}

/** Host and port of PORT, :PORT, HOST:PORT or [HOST]:PORT; of no host all addresses. */
export function parseAddress(text: string): { host: string | undefined; port: number } {
  const [, host, plain, port] = /^(?:(?:\[([^\]]+)\]|([^:[\]]*)):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65535) throw usageError(`cannot read --listen "${text}": not PORT, :PORT, HOST:PORT or [HOST]:PORT`);
  const named = host ?? plain;
  return { host: named === undefined ? "127.0.0.1" : named === "" ? undefined : named, port: Number(port) };
}

function serve(address: string): Promise<never> {
  const { host, port } = parseAddress(address);
  return untilInterrupted(async (signal) => {
    const server = createServer((request, response) => {
      const isAsked = request.url?.split("?")[0] === "/metrics";
      const answer = (status: number, type: string, text: string): void => void response.writeHead(status, { "content-type": type }).end(text);
      if (!isAsked) return answer(404, "text/plain", "swapfs: the counters are at /metrics\n");
      now().then(({ text, contentType }) => answer(200, contentType, text), (error: Error) => answer(500, "text/plain", `${error.message}\n`));
    });
    await listening(server, address, { host, port });
    const bound = server.address() as { address: string; port: number };
    note(`serving http://${bound.address.includes(":") ? `[${bound.address}]` : bound.address}:${bound.port}/metrics until Ctrl-C`);
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    server.closeAllConnections();
    server.close();
    throw new Interrupted("interrupted, nothing is served any more");
  });
}

function listening(server: Server, address: string, at: { host: string | undefined; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", ({ code, message }: NodeJS.ErrnoException) => {
      const next = code === "EADDRINUSE" ? "something else listens there, give another port" : "give an address of this machine";
      reject(failed(`cannot listen on ${address}: ${code ?? message}, ${next}`));
    });
    server.listen(at, resolve);
  });
}
