// The first root of a guest: busybox, the modules that booting needs, and an init that changes to the machine's own root.

import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";

import { cpio, type CpioEntry } from "./cpio";
import type { Kernel } from "./kernels";

const modulesToBoot = ["virtio_pci", "virtio_blk", "9pnet_virtio", "9p", "overlay"];

/** What the init reads from the archive that qemu.ts puts behind this one. */
export const startFile = "start";

/**
 * The machine's root comes over 9p, read-only, with an overlay in memory; /run and /dev are the guest's own. `/start` then
 * takes the place of init: with switch_root and exec, since modprobe is started by the kernel in the root of process 1.
 */
const init = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
end() {
  echo "guest: cannot $1"
  printf '\\377' | dd of=/dev/port bs=1 seek=244
}
while read -r module; do insmod "/modules/$module" || end "load $module"; done </modules/order
mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=524288 host /host || end "mount the machine's root"
mount -t tmpfs -o size=60% up /up && mkdir /up/changes /up/work
mount -t overlay -o lowerdir=/host,upperdir=/up/changes,workdir=/up/work root /new || end "mount the overlay"
for folder in proc sys dev; do mount --move "/$folder" "/new/$folder"; done
mkdir -p /new/dev/shm /new/dev/pts
mount -t tmpfs shm /new/dev/shm; mount -t devpts pts /new/dev/pts; mount -t tmpfs run /new/run
ln -s /proc/self/fd /new/dev/fd
[ -d /new/sys/fs/cgroup ] && mount -t cgroup2 cgroup /new/sys/fs/cgroup
kernel=$(uname -r)
mkdir -p "/new/lib/modules/$kernel"
mount --bind "/host$(cat /modules/folder)/$kernel" "/new/lib/modules/$kernel" || end "find the kernel's modules"
cp /${startFile} /new/run/start
exec switch_root /new /bin/sh /run/start
`;

/** `modulesDir` is where the kernel's modules will lie when it boots. */
export function initrd(kernel: Kernel, modulesDir: string): Buffer {
  const folder = (name: string): CpioEntry => ({ name, folder: true });
  const modules = neededModules(kernel);
  return cpio([
    ...["bin", "modules", "proc", "sys", "dev", "host", "up", "new"].map(folder),
    { name: "bin/busybox", contents: readFileSync("/bin/busybox"), executable: true },
    { name: "init", contents: init, executable: true },
    ...modules.map((file) => ({ name: `modules/${moduleName(file)}`, contents: uncompressed(file) })),
    { name: "modules/order", contents: modules.map((file) => `${moduleName(file)}\n`).join("") },
    { name: "modules/folder", contents: modulesDir },
  ]);
}

/** Files of the modules that booting needs, each after those that it depends on (modules.dep, from depmod). */
function neededModules(kernel: Kernel): string[] {
  const folder = path.join(kernel.modules, readdirSync(kernel.modules)[0]!);
  const depends = new Map(readFileSync(path.join(folder, "modules.dep"), "utf8").split("\n").filter(Boolean).map((line) => {
    const [file, rest] = line.split(":") as [string, string];
    return [file, rest.split(" ").filter(Boolean)];
  }));
  const found = new Set<string>();
  const visit = (file: string): void => {
    for (const other of depends.get(file) ?? []) visit(other);
    found.add(path.join(folder, file));
  };
  for (const name of modulesToBoot) {
    const file = [...depends.keys()].find((one) => moduleName(one) === `${name}.ko`);
    if (file !== undefined) visit(file); // otherwise built in
  }
  return [...found];
}

function moduleName(file: string): string {
  return path.basename(file).replace(/\.xz$/, "");
}

/** insmod of busybox takes no compressed modules. */
function uncompressed(file: string): Buffer {
  return file.endsWith(".xz") ? execFileSync("xz", ["-dc", file], { maxBuffer: 1 << 28 }) : readFileSync(file);
}
