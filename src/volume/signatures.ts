// Signatures of what else a device may hold, as libblkid knows them: a device with one of these is never formatted
// without being told to.

import { bytesOfPages } from "../base/units";
import { superblockMagic } from "./format";
import { perform, type BlockDevice, type Step } from "./blockdevice";

interface Signature {
  readonly holds: string;
  readonly offset: number;
  readonly bytes: Buffer;
}

const text = (holds: string, offset: number, bytes: string): Signature => ({ holds, offset, bytes: Buffer.from(bytes, "latin1") });
const KiB = 1024;

// By offset from the start; libblkid/src/superblocks/*.c and partitions/*.c.
const signatures: readonly Signature[] = [
  text("an ext2, ext3 or ext4 filesystem", KiB + 0x38, "\x53\xef"),
  text("an XFS filesystem", 0, "XFSB"),
  text("a Btrfs filesystem", 64 * KiB + 64, "_BHRfS_M"),
  text("a swap area", 4086, "SWAPSPACE2"),
  text("a swap area", 4086, "SWAP-SPACE"),
  text("a hibernation image", 4086, "S1SUSPEND"),
  text("an NTFS filesystem", 3, "NTFS    "),
  text("an exFAT filesystem", 3, "EXFAT   "),
  text("a FAT filesystem", 54, "FAT1"),
  text("a FAT filesystem", 82, "FAT32"),
  text("a LUKS volume", 0, "LUKS\xba\xbe"),
  text("an LVM physical volume", 512, "LABELONE"),
  text("an LVM physical volume", 0, "LABELONE"),
  text("an ISO 9660 filesystem", 32 * KiB + 1, "CD001"),
  text("an F2FS filesystem", KiB, "\x10\x20\xf5\xf2"),
  text("a SquashFS filesystem", 0, "hsqs"),
  text("an EROFS filesystem", KiB, "\xe2\xe1\xf5\xe0"),
  text("a bcachefs filesystem", 4096 + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca"),
  text("a bcachefs filesystem", 4096 + 24, "\xc6\x85\x73\xf6\x66\xce\x90\xa9"),
  text("a JFS filesystem", 32 * KiB, "JFS1"),
  text("a ReiserFS filesystem", 64 * KiB + 52, "ReIsEr"),
  text("a RAID member", 4096, "\xfc\x4e\x2b\xa9"),
  text("a GPT partition table", 512, "EFI PART"),
  text("a partition table or boot sector", 510, "\x55\xaa"),
];

/** What the device holds, in words, when it is not ours; by signatures before byte `end`. */
export function foreignSignature(device: BlockDevice, end = Infinity): string | undefined {
  return signatures.find((signature) => signature.offset < end && matches(device, signature))?.holds;
}

/** From the beginning of a device on libblkid looks no further: for the second header of LUKS2. */
const headBytes = 4 * 2 ** 20 + 4096;
/** Nor from its end: for a RAID of Promise, 3,087 sectors before it. */
export const tailBytes = 2 * 2 ** 20;
const stepBytes = 256 * KiB;

/** From byte `from` to `end` of a checkpoint's area, behind its payload: what a longer one left there may be a user's attribute. */
export function* zerosBehind(from: number, end: number): Iterable<Step> {
  const stop = Math.min(end, headBytes);
  for (let at = from; at < stop; at += stepBytes) yield { kind: "zeros", offset: at, length: Math.min(stepBytes, stop - at) };
}

/**
 * Zeros where other people's signatures lie, from byte `from` on: at the beginning and at the end (md, GPT), to the last byte, which need not
 * be that of a whole page. One that is left would make the volume look used for something else. Not every device takes a discard, and
 * not every discard zeroes. Durable after the next flush; what is zero already is not written: of an image it is a hole.
 */
export function wipeSignatures(device: BlockDevice, from = 0): void {
  const end = device.byteLength;
  for (const [at, to] of [[from, Math.min(headBytes, end)], [Math.max(from, end - tailBytes), end]] as const) {
    if (at < to) perform(device, [{ kind: "zeros", offset: at, length: to - at }]);
  }
}

/** Over what a shorter volume keeps back of its data area: files were there. */
export function keptBackZeros({ dataEnd, blockCount }: { readonly dataEnd: number; readonly blockCount: number }): Step {
  return { kind: "zeros", offset: bytesOfPages(dataEnd), length: bytesOfPages(blockCount - dataEnd) };
}

/** True when there is a swapfs volume, whole or damaged. */
export function holdsVolume(device: BlockDevice): boolean {
  const magic = superblockMagic;
  return [0, 4096].some((offset) => offset + magic.length <= device.byteLength && device.read(offset, magic.length).equals(magic));
}

function matches(device: BlockDevice, { offset, bytes }: Signature): boolean {
  return offset + bytes.length <= device.byteLength && device.read(offset, bytes.length).equals(bytes);
}
