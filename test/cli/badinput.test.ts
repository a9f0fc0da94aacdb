// Bad input of `swapfs mount` and of the other commands: one clear line, the right exit code, and nothing changed.

import { createHash } from "node:crypto";
import { promises as fs } from "node:fs";
import path from "node:path";

import { isMounted, tryMount } from "../support/mounted";
import { Cleanup } from "../support/mounted-cleanup";
import { attachLoop, imageFile, leftIn, scratchDir } from "../support/mounted-devices";
import { must, run, sh, swapfs } from "../support/mounted-run";
import { inNamespaceOfItsOwn } from "../support/namespace";

const cleanup = new Cleanup();
let dir: string;
let mountpoint: string;

beforeAll(async () => {
  dir = await scratchDir(cleanup);
  mountpoint = path.join(dir, "mnt");
  await fs.mkdir(mountpoint);
});
afterAll(() => cleanup.run());

const inDir = (name: string): string => path.join(dir, name);

/** Makes the source and returns its path; `says` is looked for in the message, after "swapfs: cannot". */
interface BadSource {
  readonly name: string;
  readonly make: () => Promise<string>;
  readonly args?: readonly string[];
  readonly status: number;
  readonly says: RegExp;
}

async function ext4Image(name: string): Promise<string> {
  const image = await imageFile(dir, name, 32 << 20);
  await must("mkfs.ext4", ["-q", image]);
  return image;
}

const badSources: readonly BadSource[] = [
  { name: "missing", make: async () => inDir("none.img"), status: 12, says: /no such file, directory or device/ },
  { name: "missing folder", make: async () => inDir("none/x.img"), args: ["--size", "64M"], status: 12, says: /no such|not exist/ },
  { name: "a folder in a file", make: async () => "/etc/passwd/x.img", args: ["--size", "64M"], status: 12, says: /not a directory/ },
  { name: "a character device", make: async () => "/dev/null", status: 12, says: /neither a directory, an image file nor a block device/ },
  {
    name: "a fifo", status: 12, says: /neither a directory/,
    make: async () => {
      await must("mkfifo", [inDir("fifo")]);
      return inDir("fifo");
    },
  },
  { name: "an ext4 image", make: () => ext4Image("a.ext4"), status: 12, says: /signature of ext4.*--format --force/ },
  { name: "an ext4 image, --format alone", make: () => ext4Image("b.ext4"), args: ["--format"], status: 12, says: /signature of ext4/ },
  {
    name: "a device with a swap area", args: ["--format"], status: 12, says: /signature of swap/,
    make: async () => {
      const image = await imageFile(dir, "swap.img", 32 << 20);
      await must("mkswap", [image]);
      return attachLoop(cleanup, image);
    },
  },
  {
    name: "a volume that was made a swap area since", status: 12, says: /beside a swapfs volume it carries a signature of swap.*wipefs/,
    make: async () => {
      const device = await attachLoop(cleanup, await imageFile(dir, "wasours.img", 64 << 20));
      expect(await swapfs(["mount", device, mountpoint, "--format", "--force"]))
        .toMatchObject({ status: 0, stderr: expect.stringMatching(/blkid, lsblk, mkfs and installers show .* as empty while it is not mounted/) });
      await must("umount", [mountpoint]);
      await must("mkswap", [device]);
      return device;
    },
  },
  {
    name: "a device with a partition table", args: ["--format"], status: 12, says: /signature of partition table/,
    make: async () => {
      const image = await imageFile(dir, "partitioned.img", 32 << 20);
      // One Linux partition from sector 2048 on, and the signature of a master boot record.
      const record = Buffer.from("00000000830000000008000000f00000", "hex");
      const handle = await fs.open(image, "r+");
      await handle.write(record, 0, record.length, 446);
      await handle.write(Buffer.from([0x55, 0xaa]), 0, 2, 510);
      await handle.close();
      return attachLoop(cleanup, image);
    },
  },
  { name: "an image without a volume", make: () => imageFile(dir, "zeros.img", 32 << 20), status: 12, says: /not a swapfs volume, add --format/ },
  { name: "an image that is too small", make: () => imageFile(dir, "small.img", 4 << 20), args: ["--format"], status: 12, says: /too small/ },
  { name: "a size that is too small", make: async () => inDir("tiny.img"), args: ["--size", "1M"], status: 2, says: /is the least for a volume/ },
  { name: "a size that is no number", make: async () => inDir("odd.img"), args: ["--size", "many"], status: 2, says: /--size "many": not a size/ },
  { name: "a negative size", make: async () => inDir("odd.img"), args: ["--size=-5"], status: 2, says: /not a size/ },
  { name: "an engine that is not there", make: async () => inDir("x.img"), args: ["--size", "64M", "--engine", "fast"], status: 2, says: /native and fuse-native/ },
  {
    name: "a read-only device", args: ["--format"], status: 12, says: /read-only/,
    make: async () => {
      // Not blockdev --setro: the kernel keeps that for whoever gets the loop device next.
      const image = await imageFile(dir, "readonly.img", 32 << 20);
      const device = await attachLoop(cleanup, image, "--read-only");
      return device;
    },
  },
  {
    name: "a folder on a read-only filesystem", status: 12, says: /read-only/,
    make: async () => {
      await fs.mkdir(inDir("ro"));
      await must("mount", ["-t", "tmpfs", "-o", "ro", "none", inDir("ro")]);
      cleanup.add("ro", () => must("umount", [inDir("ro")]));
      return inDir("ro");
    },
  },
  {
    name: "a device that is mounted", args: ["--format", "--force"], status: 12, says: /already mounted at/,
    make: async () => {
      const device = await attachLoop(cleanup, await ext4Image("c.ext4"));
      await fs.mkdir(inDir("ext4"));
      await must("mount", ["-o", "ro,noload", device, inDir("ext4")]);
      cleanup.add("ext4", () => must("umount", [inDir("ext4")]));
      return device;
    },
  },
];

test.each([16, 64])("of a volume of %d MiB no file lies where libblkid looks for signatures", async (mebibytes) => {
  const image = path.join(dir, `contents${mebibytes}.img`);
  expect((await swapfs(["mount", image, mountpoint, "--size", `${mebibytes}M`])).status).toBe(0);
  const free = Number((await must("stat", ["-f", "-c", "%a", mountpoint])).trim()) * 4096;
  const page = md10(Buffer.alloc(4096), mebibytes << 20);
  for (let sector = 1; sector < 8; sector += 1) page.write("Promise Technology, Inc.", sector * 512); // as far from the end as it looks
  const luks = Buffer.alloc(4096); // as far from the beginning: its second header, at 4 MiB
  luks.write("SKUL\xba\xbe", "latin1");
  luks.writeUInt16BE(2, 6);
  luks.writeBigUInt64BE(0x400000n, 256);
  for (const [name, contents] of [["ends", page], ["beginnings", luks]] as const) {
    await fs.writeFile(path.join(mountpoint, name), Buffer.concat(Array.from({ length: Math.floor(free / 4096) - 64 }, () => contents)));
    await must("umount", [mountpoint]);
    expect(await must("wipefs", ["--json", image])).not.toContain("offset");
    expect(await swapfs(["mount", image, mountpoint])).toMatchObject({ status: 0 });
    await fs.rm(path.join(mountpoint, name));
  }
  await must("umount", [mountpoint]);
});

test("grow: a signature behind the volume is named and refused; with --force it is wiped, and the volume is mounted again", async () => {
  const image = path.join(dir, "grown.img");
  expect((await swapfs(["mount", image, mountpoint, "--size", "48M"])).status).toBe(0);
  const file = await fs.open(image, "r+");
  await file.write(md10(Buffer.alloc(4096), 64 << 20), 0, 4096, (64 << 20) - 8192);
  await file.truncate(64 << 20);
  await file.close();
  const refused = await swapfs(["grow", mountpoint, "--size", "64M"]);
  expect([refused.status, refused.stderr]).toEqual([12, expect.stringMatching(/carries a signature of linux_raid_member, at byte 67100672; add --force/)]);
  expect(await swapfs(["grow", mountpoint, "--size", "64M", "--force"])).toMatchObject({ status: 0, stdout: expect.stringContaining("to 64 MiB") });
  await must("umount", [mountpoint]);
  expect(await must("wipefs", ["--json", image])).not.toContain("offset");
  expect(await swapfs(["mount", image, mountpoint])).toMatchObject({ status: 0 });
  await must("umount", [mountpoint]);
});

/** A page with the superblock that md of metadata version 1.0 has 8 KiB before the end of a device of `bytes`. */
function md10(page: Buffer, bytes: number): Buffer {
  const made = Buffer.from(page);
  made.writeUInt32LE(0xa92b4efc, 0);
  made.writeUInt32LE(1, 4);
  made.writeBigUInt64LE(BigInt(bytes / 512 - 16), 144); // super_offset
  made.writeUInt32LE(0, 216);
  let sum = 0n;
  for (let at = 0; at < 256; at += 4) sum += BigInt(made.readUInt32LE(at));
  made.writeUInt32LE(Number((sum & 0xffffffffn) + (sum >> 32n)), 216);
  return made;
}

test.each(badSources.map((bad) => [bad.name, bad] as const))("source: %s", async (_name, bad) => {
  const source = await bad.make();
  const before = await digest(source);
  const done = await tryMount(cleanup, source, mountpoint, { args: bad.args ?? [] });
  expect([done.status, done.stderr]).toEqual([bad.status, expect.stringMatching(bad.says)]);
  expect(done.stderr).toMatch(/^swapfs: cannot [^\n]+\n$/);
  expect(await isMounted(mountpoint)).toBe(false);
  expect(await digest(source)).toBe(before);
  expect((await leftIn(dir)).filter((line) => /swapfs-(keeper|dataplane)|engine/.test(line))).toEqual([]);
});

async function digest(source: string): Promise<string> {
  const stat = await fs.stat(source).catch(() => undefined);
  if (stat === undefined) return "none";
  if (!stat.isFile() && !stat.isBlockDevice()) return "not read";
  return createHash("sha256").update(await fs.readFile(source)).digest("hex");
}

test("mountpoint: missing, a file, busy", async () => {
  const image = inDir("good.img");
  const args = ["--size", "64M"];
  const missing = await swapfs(["mount", image, inDir("nowhere"), ...args]);
  expect([missing.status, missing.stderr]).toEqual([12, expect.stringMatching(/no such directory, make it with mkdir/)]);
  const file = await swapfs(["mount", image, "/etc/passwd", ...args]);
  expect([file.status, file.stderr]).toEqual([12, expect.stringMatching(/not a directory/)]);
  const busy = await swapfs(["mount", image, "/proc", ...args]);
  expect([busy.status, busy.stderr]).toEqual([12, expect.stringMatching(/mounted there/)]);
  await expect(fs.access(image)).rejects.toMatchObject({ code: "ENOENT" });
});

test("a foreign signature is destroyed only with --format --force", async () => {
  const image = await ext4Image("forced.ext4");
  expect(await tryMount(cleanup, image, mountpoint, { args: ["--format", "--force"] })).toMatchObject({ status: 0 });
  expect(await swapfs(["umount", mountpoint])).toMatchObject({ status: 0 });
  expect((await run("blkid", ["-p", image])).stdout).not.toContain("ext4");
});

test("an image that others may read is mounted with a warning and the remedy, one that swapfs made without", async () => {
  const image = inDir("open.img");
  for (const [mode, says] of [[0o600, false], [0o644, true], [0o660, true], [0o604, true]] as const) {
    if (mode !== 0o600) await fs.chmod(image, mode);
    const done = await tryMount(cleanup, image, mountpoint, { args: ["--size", "64M"] });
    expect([done.status, mode, done.stderr.includes(`(mode 0${mode.toString(8)}) and will hold what was in memory: run chmod 600`)]).toEqual([0, mode, says]);
    await swapfs(["umount", mountpoint]);
  }
});

test("--format keeps a volume that is there", async () => {
  const image = inDir("kept.img");
  await tryMount(cleanup, image, mountpoint, { args: ["--size", "64M"] });
  await fs.writeFile(path.join(mountpoint, "kept"), "still here");
  await swapfs(["umount", mountpoint]);
  expect(await tryMount(cleanup, image, mountpoint, { args: ["--format"] })).toMatchObject({ status: 0 });
  expect(await fs.readFile(path.join(mountpoint, "kept"), "utf8")).toBe("still here");
  await swapfs(["umount", mountpoint]);
});

test("not root: said so before anything is touched", async () => {
  const project = inDir("project");
  const node = inDir("node");
  await fs.mkdir(project);
  await fs.writeFile(node, "");
  // The project and node may lie where nobody else may look: bound to a place where everybody may.
  await must("mount", ["--bind", path.resolve(__dirname, "../.."), project]);
  cleanup.add(project, () => must("umount", [project]));
  await must("mount", ["--bind", process.execPath, node]);
  cleanup.add(node, () => must("umount", [node]));
  await fs.mkdir(inDir("theirs"));
  await fs.chown(inDir("theirs"), 65534, 65534);
  const done = await run(node, [path.join(project, "dist/cli/main.js"), "mount", inDir("theirs/x.img"), mountpoint, "--size", "64M"], { uid: 65534, cwd: "/" });
  expect([done.status, done.stderr]).toEqual([12, expect.stringMatching(/need root.*sudo/)]);
  expect(await fs.readdir(inDir("theirs"))).toEqual([]);
});

test("no /dev/fuse", async () => {
  const done = await inNamespaceOfItsOwn(dir, `
    mount -t tmpfs none /mnt && mkdir /mnt/dev && for d in null zero random urandom loop-control; do cp -a /dev/$d /mnt/dev/; done
    mount --move /mnt /mnt 2>/dev/null || true; mount --bind /mnt/dev /dev
    exec "$NODE" "$CLI" mount "$IMAGE" "$MNT" --size 64M
  `, { env: { NODE: process.execPath, CLI: path.resolve(__dirname, "../../dist/cli/main.js"), IMAGE: inDir("nofuse.img"), MNT: mountpoint } });
  expect([done.status, done.stderr]).toEqual([12, expect.stringMatching(/no \/dev\/fuse.*modprobe fuse/)]);
  await expect(fs.access(inDir("nofuse.img"))).rejects.toMatchObject({ code: "ENOENT" });
});

describe("on a mounted volume", () => {
  const volume = new Cleanup();
  const on = (name: string): string => path.join(mountpoint, name);
  beforeAll(async () => {
    await tryMount(volume, inDir("mounted.img"), mountpoint, { args: ["--size", "64M"] });
  });
  afterAll(() => volume.run());

  test.each([
    ["a size that is no number", ["--size", "x"], 2, /not a size/],
    ["a size below ten pages", ["--size", "8K"], 2, /at least 10 pages/],
    ["more than there is", ["--size", "1G"], 12, /it needs 1 GiB .*the volume has .* free: .*nothing was lost/],
    ["a priority that is no number", ["--size", "1M", "--on", "--priority", "high"], 2, /not a number/],
    ["a priority without --on", ["--size", "1M", "--priority", "5"], 2, /--on/],
    ["no size", [], 2, /size/],
  ])("create: %s", async (_name, args, status, says) => {
    const free = (await fs.statfs(mountpoint)).bfree;
    const done = await swapfs(["create", on("bad"), ...args]);
    expect([done.status, done.stderr]).toEqual([status, expect.stringMatching(says)]);
    await expect(fs.access(on("bad"))).rejects.toMatchObject({ code: "ENOENT" });
    expect((await fs.statfs(mountpoint)).bfree).toBe(free);
  });

  test("create: names that are too long, taken, nowhere", async () => {
    await fs.writeFile(on("taken"), "data");
    for (const [name, says] of [["n".repeat(256), /too long/], ["taken", /exists already/], [".", /it is a directory, name a file in it/], ["none/x", /does not exist/]] as const) {
      const done = await swapfs(["create", on(name), "--size", "1M"]);
      expect([done.status, done.stderr]).toEqual([12, expect.stringMatching(says)]);
    }
    expect(await fs.readFile(on("taken"), "utf8")).toBe("data");
    expect(await swapfs(["create", inDir("beside"), "--size", "1M"])).toMatchObject({ status: 12, stderr: expect.stringContaining("it is not on a mounted swapfs volume, mount that first") });
    await expect(fs.access(inDir("beside"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("mkswap on a file of odd size: whole pages are used", async () => {
    await sh(`fallocate -l 1050001 "$F"; chmod 600 "$F"; mkswap "$F"; swapon -p 10 "$F"`, { env: { F: on("odd") } });
    try {
      expect(await must("swapon", ["--show=NAME,SIZE", "--bytes", "--noheadings"])).toMatch(new RegExp(`${on("odd")} +${255 * 4096}`));
    } finally {
      await must("swapoff", [on("odd")]);
    }
  });

  test("the control socket answers root only", async () => {
    const { runDir } = JSON.parse((await swapfs(["status", mountpoint, "--json"])).stdout).volumes[0];
    const socket = path.join(runDir, "control.sock");
    const script = `socket(S, 1, 1, 0) or die; connect(S, pack("Sa*", 1, $ARGV[0])) or do { print $!{EACCES} ? "EACCES" : $!; exit }; S->autoflush; print S "{\\"command\\":\\"status\\"}\\n"; print scalar <S> // "hung up"`;
    expect((await run("perl", ["-MErrno", "-MIO::Handle", "-e", script, socket], { uid: 65534 })).stdout).toMatch(/EACCES|root/);
    // With the folder opened by mistake the answer must still depend on who asks.
    await fs.chmod(runDir, 0o755);
    await fs.chmod(socket, 0o777);
    const asked = (await run("perl", ["-MErrno", "-MIO::Handle", "-e", script, socket], { uid: 65534 })).stdout;
    await fs.chmod(runDir, 0o700);
    expect(asked).not.toContain("\"result\"");
    expect(await swapfs(["status", mountpoint])).toMatchObject({ status: 0 });
  });

  test("check, umount, status, fsck: wrong objects", async () => {
    expect(await swapfs(["check", on("none")])).toMatchObject({ status: 12 });
    expect(await swapfs(["check", "/etc/passwd"])).toMatchObject({ status: 12 });
    expect(await swapfs(["umount", dir])).toMatchObject({ status: 12 });
    expect(await swapfs(["status", dir])).toMatchObject({ status: 12 });
    expect(await swapfs(["fsck", inDir("mounted.img")])).toMatchObject({ status: 12 });
    expect(await swapfs(["fsck", inDir("nothing")])).toMatchObject({ status: 12 });
  });
});

test("usage: unknown commands and options, missing arguments", async () => {
  for (const args of [["frobnicate"], ["mount"], ["mount", "--frob", "a", "b"], ["create"], ["check"], ["fsck"]]) {
    expect([args, (await swapfs(args)).status]).toEqual([args, 2]);
  }
});

test("every command has --help, with its exit codes", async () => {
  for (const command of ["mount", "umount", "create", "check", "status", "fsck", "doctor", "pressure"]) {
    const done = await swapfs([command, "--help"]);
    expect([command, done.status]).toEqual([command, 0]);
    expect(done.stdout).toMatch(/Exit codes: 0/);
  }
});
