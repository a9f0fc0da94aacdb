// The kernels that guests boot: Debian's own packages, unpacked below .tools/guests and never installed.

import path from "node:path";

import { projectDir } from "../../support/mounted-run";

export const kernelReleases = ["6.1", "6.12"] as const;
export type KernelRelease = (typeof kernelReleases)[number];

export const guestsDir = path.join(projectDir, ".tools/guests");
/** Debian's packages that only guests use, unpacked and never installed: what they hold is copied into a guest's own root. */
export const packagesDir = path.join(guestsDir, "packages");
/** For the beginning of `prepare`. */
export const withPackages = `tar -C '${packagesDir}' -cf - . | tar -C / --keep-directory-symlink -xf - && ldconfig`;

/** What setup.ts leaves of a kernel's package. */
export class Kernel {
  readonly release: KernelRelease;
  readonly dir: string;

  constructor(release: KernelRelease, dir = path.join(guestsDir, release)) {
    this.release = release;
    this.dir = dir;
  }

  /** Uncompressed: under emulation a kernel takes seconds to unpack itself. */
  get image(): string {
    return path.join(this.dir, "vmlinux");
  }

  /** Holds one folder, named as `uname -r` in the guest. */
  get modules(): string {
    return path.join(this.dir, "lib/modules");
  }

  /** A cpio archive that boots into the machine's own root (initrd.ts). */
  get initrd(): string {
    return path.join(this.dir, "initrd");
  }

  /** The package's name; made last. */
  get stamp(): string {
    return path.join(this.dir, "ready");
  }
}

/** Names of the release's packages among `names`, the newest first. No cloud, rt, dbg or unsigned ones. */
export function packagesOf(release: KernelRelease, names: readonly string[]): string[] {
  const wanted = new RegExp(`^linux-image-${release.replaceAll(".", "\\.")}\\.\\d+(-\\d+|\\+deb\\d+)-amd64$`);
  const numbers = (name: string): number[] => name.match(/\d+/g)!.map(Number);
  const newer = (a: readonly number[], b: readonly number[]): number => {
    const at = a.findIndex((number, index) => number !== b[index]);
    return at < 0 ? 0 : (b[at] ?? 0) - a[at]!;
  };
  return names.filter((name) => wanted.test(name)).sort((a, b) => newer(numbers(a), numbers(b)));
}
