// Needs root and loop devices, as all of swapfs does.

import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

import { addon, type AttachedLoop } from "#src/sys/addon";
import { blockDeviceFacts, deviceNumberOf, deviceUses } from "#src/sys/blockdevice";
import { attachImage, backingFile, loadLoop } from "#src/sys/loop";
import { foreignSignature, interpretBlkid } from "#src/sys/signature";
import { renewLoop } from "../support/hostdevices";

const mib = 2 ** 20;
let folder: string;
let image: string;
let loop: AttachedLoop | undefined;

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-loop-"));
  image = path.join(folder, "with space.img");
  fs.writeFileSync(image, "");
  fs.truncateSync(image, 32 * mib);
});

afterEach(async () => {
  if (loop) await detach(loop);
  loop = undefined;
  fs.rmSync(folder, { recursive: true });
});

async function detach(attached: AttachedLoop): Promise<void> {
  fs.closeSync(attached.fd);
  await until(() => renewLoop(attached.device));
}

function discardMax(device: string): number {
  return Number(fs.readFileSync(`/sys/block/${path.basename(device)}/queue/discard_max_bytes`, "utf8"));
}

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !holds(); i += 1) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(holds()).toBe(true);
}

describe("attachImage", () => {
  test("gives a 4096-byte direct device without discard, detached by the last close", async () => {
    loop = attachImage(image);
    expect(loop).toMatchObject({ direct: true, blockSize: 4096 });
    expect(backingFile(loop.device)).toBe(image);
    expect(discardMax(loop.device)).toBe(0);
    expect(blockDeviceFacts(loop.device)).toMatchObject({ byteLength: 32 * mib, readOnly: false });
    expect(backingFile(blockDeviceFacts(loop.device).deviceNumber)).toBe(image);
    fs.closeSync(loop.fd);
    const { device } = loop;
    loop = undefined;
    await until(() => backingFile(device) === undefined);
    expect(discardMax(device)).toBe(0);
    await until(() => renewLoop(device));
  });

  test("renewLoop lets the device's next user discard, and leaves a device in use alone", async () => {
    loop = attachImage(image);
    expect(() => addon().blockDeviceDiscard(loop!.fd, 0, mib)).toThrow(expect.objectContaining({ code: "EOPNOTSUPP" }));
    expect(renewLoop(loop.device)).toBe(false);
    fs.closeSync(loop.fd);
    const { device } = loop;
    loop = undefined;
    await until(() => renewLoop(device));
    execFileSync("losetup", [device, image]);
    try {
      expect(discardMax(device)).toBeGreaterThan(mib);
    } finally {
      execFileSync("losetup", ["-d", device]);
    }
  });

  test("read-only stays read-only", () => {
    const backing = fs.openSync(image, "r");
    loop = addon().loopAttach(backing, image, true);
    fs.closeSync(backing);
    expect(blockDeviceFacts(loop.device).readOnly).toBe(true);
  });

  test("loopSetCapacity follows a longer file", () => {
    loop = attachImage(image);
    fs.truncateSync(image, 64 * mib);
    expect(addon().blockDeviceByteLength(loop.fd)).toBe(32 * mib);
    addon().loopSetCapacity(loop.fd);
    expect(addon().blockDeviceByteLength(loop.fd)).toBe(64 * mib);
  });

  test("several at once get devices of their own", async () => {
    const made = Array.from({ length: 4 }, () => attachImage(image));
    try {
      expect(new Set(made.map((one) => one.device)).size).toBe(4);
    } finally {
      await Promise.all(made.map(detach));
    }
  });

  test("a missing image is named", () => {
    expect(() => attachImage(path.join(folder, "none"))).toThrow(/ENOENT.*none/);
  });

  test("a folder is no image", () => {
    expect(() => attachImage(folder)).toThrow(/EISDIR/);
  });
});

describe("blockDeviceFacts", () => {
  test("names what is not a block device", () => {
    expect(() => blockDeviceFacts(image)).toThrow(/cannot examine .*with space.img: .*ENOTTY/);
    expect(() => blockDeviceFacts("/dev/no-such-device")).toThrow(/cannot examine \/dev\/no-such-device: .*ENOENT/);
  });

  test("deviceNumberOf splits as glibc does", () => {
    expect(deviceNumberOf(fs.statSync("/dev/null").rdev)).toBe("1:3");
    expect(deviceNumberOf(0x8_11)).toBe("8:17");
    expect(deviceNumberOf(0x12345_67 + 0)).toBe(`${(0x1234567 >> 8) & 0xfff}:${0x67 | ((0x1234567 >> 12) & ~0xff)}`);
  });
});

describe("foreignSignature", () => {
  test("finds nothing on an empty image and ext4 on an ext4 one", () => {
    expect(foreignSignature(image)).toBeUndefined();
    execFileSync("mkfs.ext4", ["-q", image], { stdio: "ignore" });
    expect(foreignSignature(image)).toBe("ext4");
  });

  test("finds swap, on a device as on a file", () => {
    execFileSync("mkswap", [image], { stdio: "ignore" });
    loop = attachImage(image);
    expect(foreignSignature(loop.device)).toBe("swap");
  });

  test.each([
    [0, "DEVNAME=/dev/x\nPTTYPE=dos\n", "", "dos"],
    [8, "", "blkid: /dev/x: ambivalent result", "several"],
    [2, "", "", undefined],
  ])("blkid exit %i", (status, stdout, stderr, expected) => {
    expect(interpretBlkid("/dev/x", status, stdout, stderr)).toEqual(expected);
  });

  test("does not take an unreadable device for an empty one", () => {
    expect(() => interpretBlkid("/dev/x", 2, "", "blkid: error: /dev/x: Operation not permitted\n"))
      .toThrow(/cannot look for a filesystem on \/dev\/x: .*not permitted/);
    expect(() => foreignSignature("/dev/no-such-device")).toThrow(/cannot look for a filesystem/);
  });
});

describe("deviceUses", () => {
  const area = { deleted: false, type: "partition", byteLength: 0, usedBytes: 0, priority: 0 } as const;

  test("sees mounts, swap and holders of the device and its partitions", () => {
    const sysfs = path.join(folder, "sys");
    const sda = path.join(sysfs, "devices/sda");
    for (const [name, number] of [["sda1", "8:1"], ["sda2", "8:2"], ["sda3", "8:3"]] as const) {
      fs.mkdirSync(path.join(sda, name, "holders"), { recursive: true });
      fs.writeFileSync(path.join(sda, name, "dev"), `${number}\n`);
      fs.writeFileSync(path.join(sda, name, "partition"), "1\n");
    }
    fs.mkdirSync(path.join(sda, "sda3/holders/dm-0"));
    fs.mkdirSync(path.join(sysfs, "dev/block"), { recursive: true });
    fs.symlinkSync(sda, path.join(sysfs, "dev/block/8:0"));
    for (const n of [1, 2, 3]) fs.symlinkSync(path.join(sda, `sda${n}`), path.join(sysfs, `dev/block/8:${n}`));
    const mount = { id: 1, deviceNumber: "8:1", root: "/", mountpoint: "/boot", options: [], type: "ext4", source: "/dev/sda1", superOptions: [] };
    const swaps = [{ ...area, path: "/dev/sda2" }];
    expect(deviceUses("8:0", sysfs, [mount], swaps)).toEqual([
      { kind: "mounted", deviceNumber: "8:1", by: "/boot" },
      { kind: "swapped on", deviceNumber: "8:2", by: "/dev/sda2" },
      { kind: "held", deviceNumber: "8:3", by: "dm-0" },
    ]);
    expect(deviceUses("8:2", sysfs, [mount], swaps)).toHaveLength(1);
  });

  test("a fresh loop device is free, a mounted one is not", () => {
    execFileSync("mkfs.ext4", ["-q", "-b", "4096", image], { stdio: "ignore" });
    loop = attachImage(image);
    const number = blockDeviceFacts(loop.device).deviceNumber;
    expect(deviceUses(number)).toEqual([]);
    const mountpoint = path.join(folder, "mnt");
    fs.mkdirSync(mountpoint);
    execFileSync("mount", [loop.device, mountpoint]);
    try {
      expect(deviceUses(number)).toEqual([{ kind: "mounted", deviceNumber: number, by: mountpoint }]);
    } finally {
      execFileSync("umount", [mountpoint]);
    }
  });
});

test("loadLoop: asks for the module where /dev has no loop-control, and for nothing where it has", () => {
  const asked = path.join(folder, "asked");
  fs.writeFileSync(path.join(folder, "modprobe"), `#!/bin/sh\necho "$@" >> "${asked}"\n`, { mode: 0o755 });
  const environment = jest.replaceProperty(process, "env", { ...process.env, PATH: `${folder}:${process.env["PATH"]}` });
  try {
    loadLoop("/dev/null");
    expect(fs.existsSync(asked)).toBe(false);
    loadLoop(path.join(folder, "loop-control"));
    expect(fs.readFileSync(asked, "utf8")).toBe("-q loop\n");
  } finally {
    environment.restore();
  }
});
