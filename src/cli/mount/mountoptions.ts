// The words behind -o, as mount(8) and /etc/fstab write them: flags of the mount, options of `swapfs mount`, and words
// that are for mount(8) alone.

import { parseByteLength } from "../../base/units";
import { largestPriority, parseCount, usageError } from "../common/outcome";

/** MS_ of <linux/mount.h>. */
const flagBits = {
  ro: 1 << 0, nosuid: 1 << 1, nodev: 1 << 2, noexec: 1 << 3, sync: 1 << 4, dirsync: 1 << 7, nosymfollow: 1 << 8, noatime: 1 << 10,
  nodiratime: 1 << 11, relatime: 1 << 21, strictatime: 1 << 24, lazytime: 1 << 25,
} as const;

type Flag = keyof typeof flagBits;

/** What takes a flag away again. */
const opposites: Readonly<Record<string, Flag>> = {
  rw: "ro", suid: "nosuid", dev: "nodev", exec: "noexec", async: "sync", symfollow: "nosymfollow", atime: "noatime", diratime: "nodiratime",
  norelatime: "relatime", nostrictatime: "strictatime", nolazytime: "lazytime",
};

/**
 * mount(8) and systemd read these in /etc/fstab; a mount helper meets some of them. At a remount mount(8) hands over what the kernel shows of
 * the mount as well: that of FUSE says how it was mounted, and changes nothing.
 */
const forOthers = /^(defaults|auto|noauto|user|nouser|users|owner|group|nofail|_netdev|silent|loud|comment=.*|[xX]-.*|(user_id|group_id|max_read|blksize)=\d+|default_permissions|allow_other)$/;

/** To be swapped on by its block view when the volume is mounted. */
export interface SwapAtMount {
  /** below the mountpoint */
  readonly name: string;
  readonly priority: number | undefined;
}

/** Without these words a volume is mounted nosuid,nodev. */
export const defaultMountFlags: number = flagBits.nosuid | flagBits.nodev;

export type MountOptions = Readonly<ReturnType<typeof parseMountOptions>>;

export function flagWordsOf(flags: number): string[] {
  return Object.entries(flagBits).filter(([, bit]) => (flags & bit) !== 0).map(([word]) => word);
}

/**
 * Reads lists such as "ro,activate,swapon=a:10". `flags`: MS_ of mount(2), `flagWords`: the words behind them, for mount -o remount; `size`: bytes.
 * Throws a usage error that names the words there are.
 */
export function parseMountOptions(lists: readonly string[]) {
  const switches = { remount: false, activate: false, format: false, "allow-cow": false, "allow-unmapped-host": false };
  let flags = defaultMountFlags;
  let size: number | undefined;
  const swapons: SwapAtMount[] = [];
  const flagWords: string[] = [];
  for (const word of lists.flatMap((list) => list.split(",")).filter((one) => one !== "")) {
    const flag = Object.hasOwn(flagBits, word) ? flagBits[word as Flag] : 0;
    const cleared = Object.hasOwn(opposites, word) ? flagBits[opposites[word]!] : 0;
    flags = (flags | flag) & ~cleared;
    if (flag !== 0 || cleared !== 0) flagWords.push(word);
    else if (Object.hasOwn(switches, word)) switches[word as keyof typeof switches] = true;
    else if (word.startsWith("size=")) size = parseByteLength(word.slice("size=".length), "-o size");
    else if (word.startsWith("swapon=")) swapons.push(swapAtMount(word.slice("swapon=".length)));
    else if (!forOthers.test(word)) throw usageError(`cannot use -o "${word}": ${knownWords}`);
  }
  const { remount, activate, format, "allow-cow": allowCow, "allow-unmapped-host": allowUnmappedHost } = switches;
  return { flags, flagWords, remount, activate, format, allowCow, allowUnmappedHost, size, swapons };
}

function swapAtMount(text: string): SwapAtMount {
  const [, name = text, priority] = /^(.*):(\d+)$/.exec(text) ?? [];
  return { name, priority: priority === undefined ? undefined : parseCount(priority, "-o swapon", [0, largestPriority], `FILE:PRIORITY with a number from 0 to ${largestPriority}`) };
}

const knownWords = `there are activate, swapon=FILE[:PRIORITY], format, size=SIZE, allow-cow, allow-unmapped-host, remount, ${Object.keys(flagBits).join(", ")} and what undoes these (rw, dev, ...)`;
