// A small Debian tree with systemd, as a disk that a guest boots from. It is unpacked from packages below .tools/guests, without their
// scripts: nothing of it ever runs on this machine.

import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";

import { projectDir } from "../../support/mounted-run";
import { guestsDir } from "./kernels";

export const debianDir = path.join(guestsDir, "debian");

/** apt adds what these need. */
export const debianPackages = [
  "base-files", "bash", "coreutils", "dash", "dbus", "diffutils", "dpkg", "e2fsprogs", "findutils", "grep", "kmod", "libc-bin", "libpam-systemd", "libstdc++6", "login", "mount", "sed", "systemd",
  "udev", "usr-is-merged", "util-linux",
];

const rootMiB = 896;
/** Of this checkout, at the same path; node lies in /usr/local/bin. */
const ofProject = ["dist", "dist-test", "native/build", "mount.sh", "package.json", "node_modules/commander", "node_modules/debug", "node_modules/fs-ext", "node_modules/ms"];

/** Each takes a second or more under emulation. */
const notNeeded = ["systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-random-seed.service", "systemd-binfmt.service",
  "modprobe@configfs.service", "modprobe@dm_mod.service", "modprobe@drm.service", "modprobe@efi_pstore.service"];

/** What the packages' scripts would have made. */
const files: Readonly<Record<string, string>> = {
  "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nmessagebus:x:100:100::/nonexistent:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
  "etc/shadow": "root:*:19000:0:99999:7:::\n",
  "etc/group": ["root:0", "tty:5", "disk:6", "lp:7", "kmem:15", "dialout:20", "cdrom:24", "tape:26", "audio:29", "shadow:42", "utmp:43", "video:44",
    "plugdev:46", "adm:4", "messagebus:100", "systemd-journal:101", "input:102", "sgx:103", "kvm:104", "render:105", "nogroup:65534"]
    .map((line) => `${line.replace(":", ":x:")}:\n`).join(""),
  "etc/hostname": "guest\n",
  // Otherwise the first boot asks for what a new machine needs, and makes caches.
  "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
  "etc/.updated": "", "var/.updated": "",
  "etc/pam.d/login": "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_systemd.so\n",
  ...Object.fromEntries(["auth", "account", "password", "session", "session-noninteractive"]
    .map((name) => [`etc/pam.d/common-${name}`, `${name.replace("-noninteractive", "")} required pam_permit.so\n`])),
  // Without a name there root is excluded.
  "etc/systemd/logind.conf.d/kill.conf": "[Login]\nKillUserProcesses=yes\nKillExcludeUsers=nobody\n",
};

/** An image with the tree, this checkout, `/sbin/mount.swapfs`, what `add` puts below the folder that it is given, and a service that runs what `command` says. */
export async function makeDebianRoot(image: string, command: string, add?: (root: string) => Promise<void>): Promise<void> {
  const stage = mkdtempSync(path.join(guestsDir, "root-"));
  try {
    run("cp", ["-al", `${debianDir}/.`, stage]);
    const at = (name: string): string => path.join(stage, name);
    const write = (name: string, contents: string): void => {
      mkdirSync(path.dirname(at(name)), { recursive: true });
      rmSync(at(name), { force: true }); // it may be a hard link into the tree
      writeFileSync(at(name), contents);
    };
    for (const [name, contents] of Object.entries(files)) write(name, contents);
    for (const part of ofProject) cpSync(path.join(projectDir, part), at(path.join(projectDir, part)), { recursive: true });
    mkdirSync(at("usr/local/bin"), { recursive: true });
    cpSync(process.execPath, at("usr/local/bin/node"), { dereference: true });
    rmSync(at("var/run"), { recursive: true, force: true });
    symlinkSync("/run", at("var/run"));
    symlinkSync(path.join(projectDir, "mount.sh"), at("sbin/mount.swapfs"));
    write("root/steps", command);
    chmodSync(at("root/steps"), 0o755);
    write("etc/systemd/system/steps.service", "[Service]\nExecStart=/root/steps\nStandardError=journal+console\n");
    mkdirSync(at("etc/systemd/system/multi-user.target.wants"), { recursive: true });
    symlinkSync("../steps.service", at("etc/systemd/system/multi-user.target.wants/steps.service"));
    symlinkSync("/lib/systemd/system/multi-user.target", at("etc/systemd/system/default.target"));
    await add?.(stage);
    run("mke2fs", ["-q", "-t", "ext4", "-d", stage, image, `${rootMiB}M`]);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/** For the kernel's command line. */
export const debianAppend = ["rw systemd.show_status=true systemd.getty_auto=no", ...notNeeded.map((unit) => `systemd.mask=${unit}`)].join(" ");

/** From the machine's own root to that on `device`. The modules lie there only, so all that is wanted is loaded here. */
export function debianStart(device: string): string {
  return `set -e
    export PATH=/usr/sbin:/usr/bin:/sbin:/bin
    modprobe -a ext4 fuse loop autofs4
    umount /sys/fs/cgroup
    mount -t ext4 ${device} /mnt
    for folder in proc sys dev; do mount --move /$folder /mnt/$folder; done
    exec switch_root /mnt /lib/systemd/systemd`;
}

function run(program: string, args: readonly string[]): void {
  execFileSync(program, args, { stdio: ["ignore", "pipe", "pipe"] });
}
