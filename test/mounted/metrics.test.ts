// swapfs metrics on a real mount: it costs no request, and works while the planes are stopped.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import path from "node:path";

import { mountSwapfs, pidOf, umount } from "../support/mounted";
import { withCleanup } from "../support/mounted-cleanup";
import { scratchDir, zramDevice } from "../support/mounted-devices";
import { must, sh, swapfs, swapfsCommand } from "../support/mounted-run";

test("printed, written whole and served: the same, without a request, while no process of the volume answers", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const mnt = path.join(dir, "mnt");
    await mountSwapfs(cleanup, await zramDevice(cleanup, 128 << 20), mnt, { args: ["--format"] });
    const file = path.join(mnt, "a");
    await sh(`fallocate -l 16M ${file}; chmod 600 ${file}; mkswap -q ${file}`);
    await must("swapon", ["-p", "10", file]);
    const stopped = (await Promise.all([pidOf(mnt, "data plane"), pidOf(mnt, "control plane")])).map((pid) => pid!);
    for (const pid of stopped) process.kill(pid, "SIGSTOP");
    const goOn = (): void => stopped.forEach((pid) => process.kill(pid, "SIGCONT"));
    try {
      const ours = (text: string): string => text.split("\n").filter((line) => line.includes(`"${mnt}"`) && !/resident_bytes|used_bytes/.test(line)).join("\n");
      const printed = await must(...program(["metrics"]));
      expect(printed).toContain(`swapfs_swap_size_bytes{mountpoint="${mnt}",file="${file}",through=""} ${(16 << 20) - 4096}`);
      expect(printed).toMatch(/^swapfs_requests_total\{mountpoint="[^"]*",opcode="BMAP"\} \d+$/m);
      const textfile = path.join(dir, "swapfs.prom");
      expect(await swapfs(["metrics", "--textfile", textfile])).toMatchObject({ status: 0, stdout: "" });
      expect(ours(await fs.readFile(textfile, "utf8"))).toBe(ours(printed));
      expect((await fs.readdir(dir)).filter((name) => name.startsWith("swapfs.prom"))).toEqual(["swapfs.prom"]);
      const server = spawn(...program(["metrics", "--listen", "localhost:0"]), { stdio: ["ignore", "ignore", "pipe"] });
      const ended = once(server, "exit");
      const [said] = (await once(server.stderr, "data")) as [Buffer];
      const at = /http:\S+/.exec(said.toString())![0];
      const answer = await fetch(at);
      expect([answer.status, answer.headers.get("content-type")]).toEqual([200, expect.stringContaining("text/plain; version=0.0.4")]);
      expect(ours(await answer.text())).toBe(ours(printed));
      expect((await fetch(at.replace("/metrics", "/"))).status).toBe(404);
      server.kill("SIGINT");
      expect(await ended).toEqual([130, null]);
    } finally {
      goOn();
    }
    await must("swapoff", [file]);
    await umount(mnt);
  }));

function program(args: readonly string[]): [string, string[]] {
  const [command, ...rest] = swapfsCommand(args);
  return [command, rest];
}
