// The keeper's life: how a mount begins, how it fails to, and how it ends.

import { promises as fs } from "node:fs";
import path from "node:path";

import { isRunning } from "../support/mounted";
import { withCleanup } from "../support/mounted-cleanup";
import { imageFile, scratchDir } from "../support/mounted-devices";
import { must, run, until } from "../support/mounted-run";
import { build, FakeMount } from "./fake";

const keeper = path.join(build, "swapfs-keeper");

test("umount ends all processes, frees the loop device at once and removes the run directory", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    expect(await mount.ready()).toEqual({ ready: true });
    const { data_pid, control_pid } = await mount.header();
    await must("losetup", ["--detach", mount.device]); // lazily: it is free when the last user is gone
    await mount.umount();
    expect(await must("losetup", ["--list", "--noheadings", "--output", "BACK-FILE"])).not.toContain(mount.dir);
    expect(await mount.ended).toBe(0);
    expect([data_pid, control_pid].filter(isRunning)).toEqual([]);
    await expect(fs.stat(path.join(mount.dir, "run"))).rejects.toMatchObject({ code: "ENOENT" });
  }));

test("all three processes are marked as storage daemons, which systemd does not end at shutdown", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    const { data_pid, control_pid } = await mount.header();
    for (const pid of [mount.keeperPid, data_pid, control_pid]) expect((await fs.readFile(`/proc/${pid}/cmdline`, "utf8"))[0]).toBe("@");
    await mount.umount();
    expect(await mount.ended).toBe(0);
  }));

test("a run directory of the same name that another mount has made meanwhile is kept", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    const run = path.join(mount.dir, "run");
    await fs.rename(run, `${run}.before`);
    await fs.writeFile(path.join(`${run}.before`, "log"), "ours");
    await fs.mkdir(run);
    await fs.writeFile(path.join(run, "log"), "another's");
    await mount.umount();
    expect(await mount.ended).toBe(0);
    expect(await fs.readdir(run)).toEqual(["log"]);
    expect(await fs.readdir(`${run}.before`)).toEqual([]);
  }));

test("SIGTERM unmounts; while a file is open it says so and stays", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    const handle = await fs.open(mount.at(0), "r");
    process.kill(mount.keeperPid, "SIGTERM");
    await until("the log says why not", async () => /cannot unmount .*: it is in use/.test(await mount.log()));
    await handle.close();
    process.kill(mount.keeperPid, "SIGTERM");
    expect(await mount.ended).toBe(0);
  }));

test("SIGTERM unmounts a mount that was moved, and not what is mounted where it was", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    const moved = path.join(mount.dir, "moved to");
    await fs.mkdir(moved);
    await must("mount", ["--bind", mount.mountpoint, moved]); // mount --move refuses below a shared mount
    await must("umount", [mount.mountpoint]);
    await must("mount", ["-t", "tmpfs", "another", mount.mountpoint]);
    cleanup.add("the other mount", () => must("umount", [mount.mountpoint]));
    cleanup.add("the moved mount", () => run("umount", [moved]));
    process.kill(mount.keeperPid, "SIGTERM");
    expect(await mount.ended).toBe(0);
    expect(await must("findmnt", ["-n", "-o", "FSTYPE", mount.mountpoint])).toBe("tmpfs\n");
    expect(await fs.readFile("/proc/self/mountinfo", "utf8")).not.toContain("moved\\040to");
  }));

test("umount while the control plane is being started again", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    process.kill(await mount.pidOf("control"), "SIGKILL");
    await mount.umount();
    expect(await mount.ended).toBe(0);
  }));

test("an aborted connection ends all processes", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    const { data_pid, control_pid } = await mount.header();
    const control = path.join(mount.dir, "connections");
    await fs.mkdir(control);
    await must("mount", ["-t", "fusectl", "none", control]);
    cleanup.add(control, () => must("umount", [control]));
    const [major, minor] = (await must("mountpoint", ["--fs-devno", mount.mountpoint])).split(":").map(Number);
    // fuse_ctl_add_conn (fs/fuse/control.c) names it after the kernel's own form of dev_t.
    await fs.writeFile(path.join(control, String((major! << 20) | minor!), "abort"), "1");
    expect(await mount.ended).toBe(0);
    expect([data_pid, control_pid].filter(isRunning)).toEqual([]);
    await mount.umount();
  }));

test("SIGKILL of the keeper: the planes go on, and umount still ends them", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    const { data_pid, control_pid } = await mount.header();
    process.kill(mount.keeperPid, "SIGKILL");
    expect(await mount.ended).toBe(137);
    await fs.writeFile(mount.at(0), "still there");
    expect(await fs.readFile(mount.at(0), "utf8")).toBe("still there");
    await mount.umount();
    await until("both planes have ended", () => [data_pid, control_pid].filter(isRunning).length === 0);
  }));

test("a control plane that refuses to start: its status, a line on the ready pipe, and no mount", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.start(cleanup, { control: ["sh", "-c", "echo refused >&2; exit 11"] });
    expect(await mount.ready()).toEqual({ error: "the control plane ended with status 11 at its start, see the log" });
    expect(await mount.ended).toBe(11);
    expect(await fs.readFile("/proc/self/mountinfo", "utf8")).not.toContain(mount.mountpoint);
  }));

test("a control plane that dies of a signal before it is ready is started again", () =>
  withCleanup(async (cleanup) => {
    const script = 'if mkdir "$1/once" 2>/dev/null; then kill -9 $$; fi; exec "$2" "$1/store"';
    const dir = await scratchDir(cleanup);
    const mount = await FakeMount.mounted(cleanup, {
      control: ["sh", "-c", script, "sh", dir, path.join(build, "swapfs-fake-control")],
    });
    expect(await mount.ready()).toEqual({ ready: true });
    expect((await mount.header()).control_generation).toBe(2);
  }));

test("a device that is mounted already: status 12 and the remedy", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    const second = await FakeMount.start(cleanup, { device: mount.device });
    expect(await second.ready()).toEqual({ error: expect.stringMatching(/^cannot mount \/dev\/loop.* on .*: .*unmount it first$/) });
    expect(await second.ended).toBe(12);
  }));

test("a file is no device: status 12", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const mount = await FakeMount.start(cleanup, { device: await imageFile(dir, "plain", 1 << 20) });
    expect(await mount.ready()).toEqual({ error: expect.stringContaining("the source must be a block device") });
    expect(await mount.ended).toBe(12);
  }));

test.each([
  [[], "no control plane behind --"],
  [["--max-read", "many", "--", "true"], "cannot read --max-read: \"many\" is not a number"],
  [["--nonsense", "1"], "unknown option --nonsense"],
  [["--mountpoint"], "--mountpoint needs a value"],
  [["--mountpoint", "relative", "--", "true"], "absolute paths"],
])("a bad command line is refused: %j", async (args, message) => {
  const done = await run(keeper, args);
  expect(done).toMatchObject({ status: 2, stderr: expect.stringContaining(message) });
});

test("a data plane alone says what it needs", async () => {
  const done = await run(path.join(build, "swapfs-dataplane"), ["--fuse-fd", "0"]);
  expect(done).toMatchObject({ status: 2, stderr: expect.stringContaining("usage: swapfs-dataplane") });
});
