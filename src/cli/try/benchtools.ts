// The programs that the benchmark's contenders need, installed as mount.sh does it when they are missing.

import { runTool } from "../common/children";
import { failed } from "../common/outcome";
import { note } from "../common/output";

/** Program, and the Debian package that has it; by what is measured. */
const needed: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  swap: [["mkfs.ext4", "e2fsprogs"], ["mkfs.xfs", "xfsprogs"], ["mkfs.btrfs", "btrfs-progs"], ["ntfs-3g", "ntfs-3g"], ["mkntfs", "ntfs-3g"]],
  io: [["fio", "fio"], ["mkfs.ext4", "e2fsprogs"], ["ntfs-3g", "ntfs-3g"], ["mkntfs", "ntfs-3g"]],
  activate: [["mkfs.ext4", "e2fsprogs"], ["filefrag", "e2fsprogs"], ["ntfs-3g", "ntfs-3g"], ["mkntfs", "ntfs-3g"], ["ntfsfallocate", "ntfs-3g"]],
  extents: [["fio", "fio"]],
  ablation: [["fio", "fio"]],
  metadata: [["mkfs.ext4", "e2fsprogs"], ["ntfs-3g", "ntfs-3g"], ["mkntfs", "ntfs-3g"]],
};

export function requireBenchTools(wanted: readonly string[]): void {
  const missing = (): string[] => [...new Set(wanted.flatMap((what) => needed[what] ?? []).filter(([program]) => !has(program)).map(([, name]) => name))];
  const packages = missing();
  if (packages.length === 0) return;
  note(`installing the Debian packages ${packages.join(", ")}, for what swapfs is compared with (apt-get install ${packages.join(" ")})`);
  runTool("apt-get", ["update", "-qq"]);
  runTool("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages]);
  const left = missing();
  if (left.length > 0) throw failed(`cannot install ${left.join(", ")}: apt-get failed, install them by hand`);
}

function has(program: string): boolean {
  return runTool("sh", ["-c", 'command -v "$1"', "sh", program]).code === 0;
}
