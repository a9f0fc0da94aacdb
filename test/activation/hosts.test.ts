import { hostFilesystem } from "#src/activation/hosts";
import { imageReasons, type ImageLayer } from "#src/activation/imagelayer";

const ext4 = 0xef53;
const btrfs = 0x9123683e;
const nocow = 0x00800000;

test.each<[string, number, number, string[], boolean]>([
  ["ext4", ext4, 0x80000, [], true], ["xfs", 0x58465342, 0, [], true], ["btrfs", btrfs, nocow, [], true], ["btrfs", btrfs, 0, [], false],
  ["ext4", ext4, 0x4000, [], false], ["ext4", ext4, 0, ["rw", "data=journal"], false], ["zfs", 0x2fc12fc1, 0, [], false],
  ["bcachefs", 0xca451a4e, 0, [], false], ["overlayfs", 0x794c7630, 0, [], false], ["tmpfs", 0x01021994, 0, [], false],
  ["nfs", 0x6969, 0, [], false], ["fuse", 0x65735546, 0, [], false], ["f2fs", 0xf2f52010, 0, [], false],
  ["a filesystem of type 0x1234", 0x1234, nocow, [], false],
])("hostFilesystem: %s (magic %d, flags %d, %j) overwrites in place: %s", (name, magic, flags, options, inPlace) => {
  const found = hostFilesystem(magic, flags, options);
  expect([found.name, found.copies === undefined, found.readOnly]).toEqual([name, inPlace, false]);
});

test.each([["ro"], ["emergency_ro"], ["shutdown"]])("hostFilesystem: the mount option %s means read-only", (option) => {
  expect(hostFilesystem(ext4, 0, ["rw", option]).readOnly).toBe(true);
});

const layer = (magic: number, extents: ImageLayer["extents"], cow = false, unmapped = false): ImageLayer =>
  ({ host: hostFilesystem(magic, 0, []), allow: { cow, unmapped }, extents });
const kinds = (image: ImageLayer): string[] => imageReasons(image, [{ filePage: 0, devicePage: 1, count: 4, state: "written" }], 4).map(({ kind }) => kind);
const whole = Float64Array.from([0, 0, 8 * 4096, 0]);

test("imageReasons: --allow-cow takes away the host's way of writing, and nothing else", () => {
  const shared = Float64Array.from([0, 0, 8 * 4096, 0x2000]);
  expect(kinds(layer(btrfs, shared))).toEqual(["cow-host", "shared"]);
  expect(kinds(layer(btrfs, shared, true))).toEqual(["shared"]);
  expect(kinds(layer(btrfs, whole, true))).toEqual([]);
});

test.each(["EOPNOTSUPP", "ENOTSUP", "ENOTTY"])("imageReasons: --allow-unmapped-host accepts a host that has no FIEMAP (%s)", (error) => {
  expect(kinds(layer(ext4, { error }))).toEqual(["unmapped-host"]);
  expect(kinds(layer(ext4, { error }, false, true))).toEqual([]);
});

test("imageReasons: a host that fails is not one without FIEMAP, whatever was allowed", () => {
  expect(kinds(layer(ext4, { error: "EIO" }, true, true))).toEqual(["unmapped-host"]);
});
