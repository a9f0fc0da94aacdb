// The pure parts of `swapfs map`: what a person reads, and when there is a place to resume from.

import type { Verdict } from "#src/activation/verdict";
import type { MountedVolume } from "#src/cli/common/mounted";
import { mapLines, resumeOf } from "#src/cli/file/map";
import type { FileMap } from "#src/engine/native/mapcommand";

const volume = (device: string, image?: string): MountedVolume => ({
  mountpoint: "/mnt/swap", device, deviceNumber: "8:17", runDir: "/run/swapfs/8:17", engine: "native", image, autoclear: false, readOnly: false,
});
const map: FileMap = {
  ino: 2, size: 12 * 4096, extents: [
    { filePage: 0, devicePage: 4608, count: 8, state: "written" }, { filePage: 8, devicePage: 9000, count: 4, state: "unwritten" },
  ],
};
const accepted: Verdict = { accepted: true, ino: 2, pages: 12, extents: 2, reasons: [] };
const refused: Verdict = { ...accepted, accepted: false, reasons: [{ kind: "no-header" }] };
const noDisk = "/nonexistent";

test("resumeOf: the page of the swap header on a disk", () => {
  expect(resumeOf("/mnt/swap/a", volume("/dev/sdb1"), map, accepted, noDisk)).toEqual({ device: "/dev/sdb1", offset: 4608 });
});

test("resumeOf: nothing for an image, for memory, for what swapon would refuse, for a hole at the header", () => {
  const none = (at: MountedVolume, of = map, verdict = accepted) => resumeOf("/mnt/swap/a b", at, of, verdict, noDisk);
  expect(none(volume("/dev/loop3", "/srv/swapfs.img"))).toMatchObject({ none: expect.stringContaining("/srv/swapfs.img"), refused: false });
  expect(none(volume("/dev/zram0"))).toMatchObject({ none: "/dev/zram0 does not survive a power-off: use a disk", refused: false });
  expect(none(volume("/dev/sdb1"), map, refused)).toEqual({ none: "swapon would refuse the file: run swapfs check '/mnt/swap/a b'", refused: true });
  expect(none(volume("/dev/sdb1"), { ...map, extents: map.extents.slice(1) })).toMatchObject({ refused: true });
});

test("mapLines: a device", () => {
  expect(mapLines("/mnt/swap/a", volume("/dev/sdb1"), map, { device: "PARTUUID=1234-01", offset: 4608 })).toEqual([
    "/mnt/swap/a: 48 KiB, 2 extents on /dev/sdb1 (pages of 4096 bytes)",
    "  file page  device page  pages  state",
    "          0         4608      8  written",
    "          8         9000      4  unwritten",
    "to hibernate: resume=PARTUUID=1234-01 resume_offset=4608",
  ]);
});

test("mapLines: an image, with what lies below it, and a host that does not say", () => {
  const image = { host: "xfs", pieces: [
    { offset: 0, image: 18874368, host: 4096, length: 32768, flags: ["shared"] as const }, { offset: 32768, image: 36864000, length: 16384, flags: [] },
  ] };
  const lines = mapLines("/mnt/swap/a", volume("/dev/loop3", "/srv/swapfs.img"), { ...map, image }, { none: "because", refused: false });
  expect(lines.slice(4)).toEqual([
    "below it, /srv/swapfs.img on xfs (in bytes of the file, the image and the host's device)",
    "  file   image     host  length  flags",
    "      0  18874368  4096   32768  shared",
    "  32768  36864000  hole   16384",
    "no resume offset: because",
  ]);
  expect(mapLines("/mnt/swap/a", volume("/dev/loop3"), { ...map, image: { host: "tmpfs", error: "EOPNOTSUPP" } }, { none: "because", refused: false }))
    .toContain("/dev/loop3 on tmpfs: it does not say where the image lies (FIEMAP: EOPNOTSUPP)");
});
