// What -o says is what the kernel enforces; and mount(8) with a line of fstab mounts a volume through /sbin/mount.TYPE.

import { constants, promises as fs } from "node:fs";
import path from "node:path";

import { ended, isMounted, mountSwapfs, swappedOn } from "../support/mounted";
import { withCleanup, type Cleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { must, projectDir, run, swapfs } from "../support/mounted-run";
import { inNamespaceOfItsOwn } from "../support/namespace";

/** Not swapfs itself, which may be installed here. */
const type = `swapfs-test-${process.pid}`;
const helper = `/sbin/mount.${type}`;

async function volume(cleanup: Cleanup): Promise<{ image: string; mnt: string }> {
  const dir = await scratchDir(cleanup);
  return { image: path.join(dir, "disk.img"), mnt: path.join(dir, "mnt") };
}

const flagsOf = async (mnt: string): Promise<string[]> => (await must("findmnt", ["-no", "OPTIONS", mnt])).trim().split(",");

test("ro: files are read, nothing is changed, and swapon is refused; remounted rw all of it works", () =>
  withCleanup(async (cleanup) => {
    const { image, mnt } = await volume(cleanup);
    await mountSwapfs(cleanup, image, mnt, { args: ["--size", "64M"] });
    const file = path.join(mnt, "a");
    expect(await swapfs(["create", file, "--size", "16M"])).toMatchObject({ status: 0 });
    await must("umount", [mnt]);
    await ended(mnt);

    await mountSwapfs(cleanup, image, mnt, { args: ["-o", "ro,noexec"] });
    expect(await flagsOf(mnt)).toEqual(expect.arrayContaining(["ro", "noexec", "nosuid", "nodev"]));
    expect((await fs.readFile(file)).subarray(4086, 4096).toString("latin1")).toBe("SWAPSPACE2");
    const changes = [() => fs.writeFile(path.join(mnt, "b"), ""), () => fs.unlink(file), () => fs.truncate(file, 0), () => fs.mkdir(path.join(mnt, "d"))];
    for (const change of changes) await expect(change()).rejects.toMatchObject({ code: "EROFS" });
    expect(await run("swapon", ["-p", "10", file])).toMatchObject({ stderr: expect.stringMatching(/Read-only file system/) });
    expect(await swapfs(["create", path.join(mnt, "c"), "--size", "1M"])).toMatchObject({ status: 12, stderr: expect.stringMatching(/read-only/i) });

    expect(await swapfs(["mount", image, mnt, "-o", "remount,rw"])).toMatchObject({ status: 0, stdout: expect.stringMatching(/ rw,/) });
    await must("swapon", ["-p", "10", file]);
    try {
      expect(await swappedOn(mnt)).toEqual([file]);
    } finally {
      await must("swapoff", [file]);
    }
    const busy = await fs.open(path.join(mnt, "b"), "w");
    try {
      expect(await swapfs(["mount", image, mnt, "-o", "remount,ro"])).toMatchObject({ status: 12, stderr: expect.stringMatching(/cannot remount .*busy/) });
    } finally {
      await busy.close();
    }
    expect(await swapfs(["mount", image, mnt, "-o", "remount,ro", "--json"])).toMatchObject({ status: 0, stdout: expect.stringContaining("\"ro\"") });
  }));

test("noexec, dev and suid, and what is left of nosuid,nodev without them", () =>
  withCleanup(async (cleanup) => {
    const { image, mnt } = await volume(cleanup);
    await mountSwapfs(cleanup, image, mnt, { args: ["-o", "size=64M,noexec"] });
    await fs.copyFile("/bin/true", path.join(mnt, "true"));
    await fs.chmod(path.join(mnt, "true"), 0o755);
    await must("mknod", [path.join(mnt, "null"), "c", "1", "3"]);
    await expect(run(path.join(mnt, "true"), [])).rejects.toMatchObject({ code: "EACCES" });
    await expect(fs.open(path.join(mnt, "null"), constants.O_RDONLY)).rejects.toMatchObject({ code: "EACCES" });
    expect(await swapfs(["mount", image, mnt, "-o", "remount,exec,dev,suid"])).toMatchObject({ status: 0 });
    expect(await run(path.join(mnt, "true"), [])).toMatchObject({ status: 0 });
    expect(await fs.readFile(path.join(mnt, "null"))).toHaveLength(0);
  }));

// In a mount namespace of its own, with a file in place of the kernel's: the real one is read by every mount on the machine.
test("a timeout that the kernel would end the mount by is told at the mount, and by doctor", () =>
  withCleanup(async (cleanup) => {
    const { image, mnt } = await volume(cleanup);
    await fs.mkdir(mnt);
    const knob = "/proc/sys/fs/fuse/max_request_timeout";
    const shown = path.join(path.dirname(mnt), "knob");
    await fs.writeFile(shown, "60\n");
    // A kernel before 6.15 has no such file: then a folder stands in for all of /proc/sys/fs/fuse.
    const main = `"${process.execPath}" "${path.join(projectDir, "dist/cli/main.js")}"`;
    const script = `[ -e ${knob} ] || { mount -t tmpfs none /proc/sys/fs; mkdir /proc/sys/fs/fuse; touch ${knob}; }
      mount --bind "$SHOWN" ${knob}; ${main} mount "$IMAGE" "$MNT" --size 64M; ${main} umount "$MNT"; ${main} doctor || true`;
    const { status, stdout, stderr } = await inNamespaceOfItsOwn(path.dirname(mnt), script, { env: { SHOWN: shown, IMAGE: image, MNT: mnt } });
    expect({ status, stderr }).toMatchObject({ status: 0, stderr: expect.stringMatching(/max_request_timeout is 60: .*ends the mount.*sysctl fs\.fuse\.max_request_timeout=0/) });
    expect(stdout).toMatch(/^warn +request timeout +fs\.fuse\.max_request_timeout is 60/m);
    await ended(mnt);
  }));

test("fstab: mount MOUNTPOINT, remount, umount", () =>
  withCleanup(async (cleanup) => {
    const { image, mnt } = await volume(cleanup);
    await fs.mkdir(mnt);
    await fs.symlink(path.join(projectDir, "mount.sh"), helper);
    cleanup.add(helper, () => fs.unlink(helper));
    const fstab = path.join(path.dirname(mnt), "fstab");
    await fs.writeFile(fstab, `${image} ${mnt} ${type} rw,noexec,size=64M,nofail,x-systemd.device-timeout=5 0 0\n`);
    cleanup.add(mnt, async () => {
      if (await isMounted(mnt)) await swapfs(["umount", "--swapoff", mnt]);
    });
    expect(await run("mount", ["--fstab", fstab, mnt])).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(await flagsOf(mnt)).toEqual(expect.arrayContaining(["rw", "noexec", "nosuid", "nodev"]));
    await must("mount", ["--fstab", fstab, "-o", "remount,ro", mnt]);
    expect(await flagsOf(mnt)).toContain("ro");
    await must("umount", [mnt]);
    await ended(mnt);
    expect(await run("mount", ["--fake", "-t", type, image, mnt])).toMatchObject({ status: 0 });
    expect(await isMounted(mnt)).toBe(false);
  }));

test("what cannot be meant is told before anything is touched", () =>
  withCleanup(async (cleanup) => {
    const { image, mnt } = await volume(cleanup);
    await fs.mkdir(mnt);
    for (const [args, message] of [
      [["-o", "ro,acl"], /cannot use -o "acl": there are activate/],
      [["-o", "ro", "--engine", "fuse-native"], /cannot use -o ro with --engine fuse-native/],
      [["-o", "remount"], /no swapfs volume is mounted there/],
    ] as const) {
      const done = await swapfs(["mount", image, mnt, "--size", "64M", ...args]);
      expect([done.status === 2 || done.status === 12, done.stderr]).toEqual([true, expect.stringMatching(message)]);
    }
    await expect(fs.stat(image)).rejects.toMatchObject({ code: "ENOENT" });
  }));
