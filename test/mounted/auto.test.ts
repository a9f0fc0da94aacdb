// swapfs auto on a real mount. What it takes for the machine's memory is a file of the test's, so that no other swap on the machine counts; the
// swap areas are real.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { promises as fs, readFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";

import { MemoryCgroup, memoryHierarchy } from "#src/sys/memorycgroup";
import { areasOf, native, on, views, withVolume } from "../support/mounted-auto";
import { pressure } from "../support/mounted-pressure";
import { projectDir, run, swapfs, until } from "../support/mounted-run";
import { takesTurns } from "../support/turns";

const MiB = 2 ** 20;

test("grows below a bound, up to --max, and shrinks when it is calm; a signal leaves swap as it is", () =>
  withVolume(async ({ mnt, folder, memory, start }) => {
    const auto = await start("--chunk", "16M", "--max", "128M", "--calm", "2");
    await auto.told("on");
    memory(16 * MiB, 16 * MiB);
    await auto.told("ready", 2);
    expect(on(folder)).toEqual([{ name: "1", mib: 16, priority: 0, way: "block" }]);
    expect(views(folder).map(({ name, area }) => [name, area === undefined]).sort()).toEqual([["1", false], ["2", true]]);
    expect(auto.events.at(-1)).toMatchObject({ event: "ready", device: views(folder).find(({ name }) => name === "2")!.device });
    const second = await swapfs(["auto", mnt]);
    expect([second.status, second.stderr]).toEqual([12, expect.stringContaining("another swapfs auto does already")]);
    memory(16 * MiB, MiB);
    await auto.told("on", 2);
    memory(64 * MiB, MiB);
    await auto.told("on", 3);
    await until("it says that there is no more", () => auto.stderr.includes("no further area: 128 MiB are on, of at most 128 MiB"));
    expect(on(folder)).toEqual([
      { name: "1", mib: 16, priority: 0, way: "block" }, { name: "2", mib: 48, priority: 1, way: "block" }, { name: "3", mib: 64, priority: 2, way: "block" }]);

    memory(128 * MiB, 128 * MiB);
    await auto.told("off");
    memory(64 * MiB, 64 * MiB);
    await auto.told("off", 2);
    memory(16 * MiB, 16 * MiB);
    expect(auto.events.filter(({ event }) => event === "off").map(({ file }) => path.basename(file!))[0]).toBe("3");
    expect(on(folder)).toHaveLength(1);
    await auto.told("ready", 5); // a shorter one than lay ready beside more
    const kept = on(folder);
    expect(await auto.stop("SIGTERM")).toEqual([130, null]);
    expect(auto.stderr).toContain("swap stays as it is");
    expect(on(folder)).toEqual(kept);
    expect(await fs.readdir(folder)).toEqual(kept.map(({ name }) => name));
    expect(views(folder).map(({ name }) => name)).toEqual(kept.map(({ name }) => name));
    expect(await native(folder)).toBeNaN();
  }));

test("keeps the last of the volume free, and says so", () =>
  withVolume(async ({ mnt, folder, start }) => {
    const auto = await start("--chunk", "40M", "--keep-free", "50%", "--calm", "2"); // free swap is always 0
    await until("it says that there is no more", () => auto.stderr.includes("no further area"));
    const { bavail, blocks } = await fs.statfs(mnt);
    expect(bavail / blocks).toBeGreaterThanOrEqual(0.5);
    expect(on(folder).length).toBeGreaterThan(0);
  }, 256 * MiB));

test("Node is killed: what lies ready is swapped on without it; started again it goes on with what is on", () =>
  withVolume(async ({ folder, memory, start }) => {
    const auto = await start("--chunk", "16M", "--calm", "2");
    await auto.told("on");
    memory(16 * MiB, 16 * MiB);
    await auto.told("ready", 2);
    const watching = await native(folder);
    await auto.stop("SIGKILL");
    expect(on(folder)).toHaveLength(1);
    memory(16 * MiB, MiB);
    await until("the second one is on", () => on(folder).length === 2);
    await until("nothing is left to do", async () => Number.isNaN(await native(folder)));
    expect(watching).not.toBeNaN();

    memory(32 * MiB, 32 * MiB);
    const next = await start("--chunk", "16M", "--calm", "1000");
    expect(next.events[0]).toMatchObject({ event: "watching", areas: ["1", "2"].map((name) => path.join(folder, name)) });
    await next.told("ready");
    await next.stop("SIGKILL");
    const last = await start("--chunk", "16M", "--calm", "1000");
    expect(last.events.map(({ event }) => event)).toEqual(["taken over", "watching"]);
    await last.told("ready");
    expect((await fs.readdir(folder)).sort()).toEqual(["1", "2", "3"]);
    expect(views(folder).map(({ name, area }) => `${name} ${area ? "on" : "ready"}`).sort()).toEqual(["1 on", "2 on", "3 ready"]);

    const watcher = await native(folder);
    await last.stop("SIGKILL");
    process.kill(watcher, "SIGKILL");
    await until("the view that lay ready has gone", () => views(folder).length === 2);
    await fs.rm(path.join(folder, "3")); // leased to nobody
  }));

test("a process with the same command line that is another volume's is left alone", () =>
  withVolume(async ({ mnt, folder, cleanup, memory, start }) => {
    await fs.mkdir(folder);
    const other = spawn(path.join(projectDir, "native/build/swapfs-autoswap"), ["--lock", path.join(path.dirname(mnt), "lock"), folder], { stdio: ["pipe", "ignore", "inherit"] });
    cleanup.add("it", () => other.kill("SIGKILL"));
    memory(16 * MiB, 16 * MiB);
    const auto = await start("--chunk", "16M");
    await auto.told("ready");
    expect(auto.events[0]!.event).toBe("watching");
    expect([other.exitCode, other.signalCode]).toEqual([null, null]);
  }));

test("--bmap: the files themselves; started again without it both ways count, and the ones go as the others do", () =>
  withVolume(async ({ folder, memory, start }) => {
    const first = await start("--chunk", "16M", "--calm", "1000", "--bmap");
    await first.told("on");
    memory(16 * MiB, 16 * MiB);
    await first.told("ready", 2);
    expect([on(folder), views(folder), first.events.at(-1)]).toEqual([[{ name: "1", mib: 16, priority: 0, way: "bmap" }], [], expect.objectContaining({ device: null })]);
    await first.stop();
    const next = await start("--chunk", "16M", "--calm", "1");
    await next.told("ready");
    memory(16 * MiB, MiB);
    await next.told("on");
    expect(on(folder).map(({ way }) => way)).toEqual(["bmap", "block"]);
    memory(128 * MiB, 128 * MiB);
    await next.told("off", 2);
    expect(on(folder)).toEqual([]);
    expect(views(folder).filter(({ area }) => area !== undefined)).toEqual([]);
  }));

test("where there is no room in one piece it lies ready as a file, and says so", () =>
  withVolume(async ({ mnt, folder, start }) => {
    for (let n = 0; ; n += 1) if ((await run("fallocate", ["-l", "6M", path.join(mnt, `f${n}`)])).status !== 0) break;
    for (const name of await fs.readdir(mnt)) if (/^f\d*[02468]$/.test(name)) await fs.rm(path.join(mnt, name));
    const auto = await start("--chunk", "16M", "--max", "16M", "--keep-free", "0%");
    await auto.told("on");
    expect(auto.events.find(({ event }) => event === "ready")).toMatchObject({ device: null });
    expect(on(folder)).toMatchObject([{ name: "1", way: "bmap" }]);
  }, 128 * MiB));

test("the native process is killed: another one goes on", () =>
  withVolume(async ({ folder, memory, start }) => {
    const auto = await start("--chunk", "16M", "--calm", "2");
    await auto.told("on");
    memory(16 * MiB, 16 * MiB);
    await auto.told("ready", 2);
    const first = await native(folder);
    const status = readFileSync(`/proc/${first}/status`, "utf8");
    expect(Number(/^VmLck:\s+(\d+)/m.exec(status)![1])).toBeGreaterThan(0);
    process.kill(first, "SIGKILL");
    await auto.told("restarted");
    memory(16 * MiB, MiB);
    await auto.told("on", 2);
    expect(await native(folder)).not.toBe(first);
  }));

test("options come from the volume's line in a configuration, and the command line wins", () =>
  withVolume(async ({ mnt, folder, start }) => {
    const config = path.join(path.dirname(mnt), "swapfs.conf");
    await fs.writeFile(config, `[${mnt}]\nsource = /dev/x\nauto = max=48M,chunk=16M\n[/mnt/other]\nsource = /dev/y\n`);
    const auto = await start("--config", config, "--max", "32M");
    await auto.told("on", 2);
    expect(on(folder).map(({ mib }) => mib)).toEqual([16, 16]);
    await auto.stop();
    const refused = async (...args: string[]): Promise<string> => {
      const { status, stderr } = await swapfs(["auto", mnt, ...args]);
      expect(status).toBe(2);
      return stderr;
    };
    await fs.writeFile(config, `[/mnt/other]\nsource = /dev/y\n`);
    expect(await refused("--config", config)).toContain(`no line "auto" for [${mnt}], add auto = yes`);
    expect(await refused("--keep-free", "half")).toContain('cannot read --keep-free "half": not a percentage');
    expect(await refused("--chunk", "64K")).toContain("1M is the least");
    expect(await refused("--max", "1M", "--chunk", "2M")).toContain("less than --chunk");
    expect(await refused("--priority", "40000")).toContain("a number from 0 to 32767");
    const file = path.join(path.dirname(mnt), "passwd");
    await fs.writeFile(file, "root:x:0:0:root:/root:/bin/bash\n");
    expect(await refused("--pressure", file)).toContain("it is no pressure file, name a cgroup's memory.pressure, or none");
    expect(await swapfs(["auto", mnt, "--pressure", "/nosuch"])).toMatchObject({ status: 12, stderr: expect.stringContaining("/nosuch") });
    await run(path.join(projectDir, "native/build/swapfs-autoswap"), ["--pressure", file, mnt], { input: "" });
    expect(await fs.readFile(file, "utf8")).toBe("root:x:0:0:root:/root:/bin/bash\n");
    expect(await refused("--calm", "0")).toContain("a whole number from 1 to 10000");
  }));

test("where the kernel tells nothing of pressure it says so and looks by itself", () =>
  withVolume(async ({ start }) => {
    const auto = await start("--chunk", "16M", "--max", "16M", "--pressure", "none");
    await auto.told("no pressure information");
    await auto.told("on");
  }));

test("memory gets short while an area goes, with all of --max on: that is ended, and the area stays", () =>
  withVolume(async ({ mnt, folder, cleanup, memory, start }) => {
    const tools = path.join(path.dirname(mnt), "tools");
    await fs.mkdir(tools);
    await fs.writeFile(path.join(tools, "swapoff"), `#!/bin/sh\n: >"$0.runs"\nexec sleep 300\n`, { mode: 0o755 });
    const { PATH } = process.env;
    cleanup.add("PATH", async () => void (process.env["PATH"] = PATH));
    process.env["PATH"] = `${tools}:${PATH}`;
    const auto = await start("--chunk", "16M", "--max", "32M", "--calm", "1");
    process.env["PATH"] = PATH;
    await auto.told("on", 2);
    memory(32 * MiB, 32 * MiB);
    await until("it is swapped off", async () => (await fs.readdir(tools)).length > 1);
    memory(16 * MiB, MiB);
    await auto.told("kept");
    expect(on(folder)).toHaveLength(2);
  }));

test("what lies ready is swapped on by hand: another one is made ready", () =>
  withVolume(async ({ folder, memory, start }) => {
    const auto = await start("--chunk", "16M", "--calm", "2");
    await auto.told("on");
    memory(16 * MiB, 16 * MiB);
    await auto.told("ready", 2);
    expect(await swapfs(["swapon", "--block", "--priority", "1", path.join(folder, "2")])).toMatchObject({ status: 0 });
    memory(32 * MiB, 16 * MiB);
    await auto.told("ready", 3);
  }));

/** 4 MiB five times a second, each with a number of its own; then all is compared. No faster: what the machine is told of free swap comes
 * from a timer of ours, which a busy machine delays. */
const growing = `
  const held = [];
  const timer = setInterval(() => {
    held.push(Buffer.alloc(${4 * MiB}, Buffer.from([held.length, 1, 2, 3, 5, 7, 11, 13])));
    if (held.length < 64) return;
    clearInterval(timer);
    process.exit(held.every((one, n) => one[0] === n && one.subarray(8).equals(one.subarray(0, -8))) ? 0 : 1);
  }, 200);`;

describe("a program grows in a memory cgroup", () => {
  takesTurns("swap");

  test("areas come before swap is full, no page is bad, and they go when it has ended", () =>
    withVolume(async ({ folder, memory, start }) => {
      const show = (): void => {
        const areas = areasOf(folder);
        const total = areas.reduce((sum, { byteLength }) => sum + byteLength, 0);
        memory(total, total - areas.reduce((sum, { usedBytes }) => sum + usedBytes, 0));
        if (total > 0) leastFree = Math.min(leastFree, areas.reduce((sum, { byteLength, usedBytes }) => sum + byteLength - usedBytes, 0));
      };
      let leastFree = Infinity;
      const looking = setInterval(show, 50);
      try {
        const auto = await start("--chunk", "32M", "--calm", "3", "--priority", "32767"); // none is used before it, whatever else is on
        await auto.told("ready", 2);
        const group = MemoryCgroup.create(memoryHierarchy()!, `swapfs-${process.pid}-auto`, 96 * MiB);
        const statistics = setInterval(() => group.addUpStatistics(), 250);
        try {
          const program = spawn("sh", ["-c", `echo 0 >${group.procsFile}; exec "$0" -e "$1"`, process.execPath, growing], { stdio: "inherit" });
          expect(await once(program, "exit")).toEqual([0, null]);
        } finally {
          clearInterval(statistics);
          await group.remove();
        }
        const grown = auto.events.filter(({ event }) => event === "on").length;
        expect(grown).toBeGreaterThan(1);
        expect(leastFree).toBeGreaterThan(0);
        await until("all but one are gone", () => on(folder).length === 1, 60_000);
      } finally {
        clearInterval(looking);
      }
    }));

  test("the native process is woken by pressure, not by its clock; a file that cannot be swapped on is no longer ready", () =>
    withVolume(async ({ mnt, cleanup }) => {
      const dir = path.dirname(mnt);
      const child = spawn(path.join(projectDir, "native/build/swapfs-autoswap"), ["--interval", "600000", dir], { stdio: ["pipe", "pipe", "inherit"] });
      cleanup.add("it", () => child.kill("SIGKILL"));
      const lines: string[] = [];
      createInterface(child.stdout).on("line", (line) => lines.push(line));
      await until("it has looked once", () => lines.length === 2);
      expect(lines[0]).toMatch(/^psi \d+$/);
      expect(await swapfs(["create", path.join(mnt, "a"), "--size", "128M", "--on", "--priority", "32767"])).toMatchObject({ status: 0 });
      expect(await pressure(["--size", "128M", "--resident", "32M", "--seconds", "3"])).toMatchObject({ status: 0 });
      await until("it was woken", () => lines.some((line) => /^look .* 1$/.test(line)));
      await fs.writeFile(path.join(dir, "1"), Buffer.alloc(65536));
      child.stdin.write("ready 1 7\nwithdraw\nbelow 1000000000000000\n");
      await until("it is withdrawn", () => lines.includes("withdrawn"));
      child.stdin.write("ready 2 0\nready 1 7\n");
      await until("it has tried", () => lines.some((line) => /^on 22 \d+ 1$/.test(line)));
      expect(lines.filter((line) => /^(opened|on)/.test(line)).map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual(["opened 0", "opened 2", "opened 0", "on 22"]);
      child.stdin.end();
      expect(await once(child, "exit")).toEqual([0, null]);
    }));
});
