// A Debian package of what --install puts into place, made with dpkg-deb alone.

import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { mustRun, runTool } from "../sys/tools";
import { readVersion } from "../sys/version";
import { installed, type Installed } from "./files";
import { install } from "./install";

/** `to`: an existing folder. Returns the package's path. */
export function buildPackage(from: string, to: string): string {
  const root = mkdtempSync(path.join(tmpdir(), "swapfs-package-"));
  try {
    chmodSync(root, 0o755); // it becomes /
    const files = installed({ from, prefix: "/usr", node: "/usr/bin/node", withFuseNative: false });
    install(files, { prefix: "/usr", destdir: root, runRoot: path.join(root, "run") });
    rmSync(path.join(root, "usr/lib/swapfs/manifest.json")); // dpkg has its own
    mkdirSync(path.join(root, "DEBIAN"));
    const version = debianVersion(from);
    for (const [name, text] of Object.entries({ control: control(version, files), md5sums: sums(files) })) writeFileSync(path.join(root, "DEBIAN", name), text);
    for (const [name, text] of Object.entries(scripts)) writeFileSync(path.join(root, "DEBIAN", name), text, { mode: 0o755 });
    const made = path.join(to, `swapfs_${version}_${architecture()}.deb`);
    mustRun("dpkg-deb", ["--root-owner-group", "-Zxz", "-z2", "--build", root, made], `build ${made}`, ", install the Debian package dpkg");
    return made;
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** A build is newer than one of a commit before. */
function debianVersion(from: string): string {
  const { version, commit } = readVersion(from);
  const { code, stdout: date } = runTool("git", ["--git-dir", path.join(from, ".git"), "show", "-s", "--format=%cd", "--date=format:%Y%m%d%H%M%S", "HEAD"]);
  return commit === "unknown" || code !== 0 ? version : `${version}+git${date.trim()}.${commit}`;
}

function architecture(): string {
  return { x64: "amd64" }[process.arch as string] ?? process.arch;
}

function control(version: string, files: readonly Installed[]): string {
  const node = Number.parseInt(process.versions.node, 10);
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime: string } };
  const bytes = files.reduce((sum, one) => sum + ("bytes" in one ? one.bytes.length : 0), 0);
  return `Package: swapfs
Version: ${version}
Architecture: ${architecture()}
Maintainer: The swapfs developers <root@localhost>
Section: admin
Priority: optional
Installed-Size: ${Math.ceil(bytes / 1024)}
Depends: nodejs (>= ${node}), nodejs (<< ${node + 1}~), libc6 (>= ${header.glibcVersionRuntime}), mount, util-linux
Recommends: kmod
Description: FUSE filesystem that hosts swapfiles
 Stock mkswap, swapon and swapoff work on its files, and what is swapped goes
 straight from the kernel to the device below.
`;
}

function sums(files: readonly Installed[]): string {
  return files.flatMap((one) => ("bytes" in one ? [`${createHash("md5").update(one.bytes).digest("hex")}  ${one.path.slice(1)}\n`] : [])).join("");
}

/** At an upgrade all links, and after it those that lead nowhere. One whose mount ends meanwhile needs none. */
const setLinks = `    for link in "$root"/run/swapfs/*/code; do
      code=$(readlink "$link")
      case $code in $lib/kept/*) continue ;; $lib/*) ;; *) continue ;; esac
      [ -d "$root$lib/kept/\${code##*/}" ] || continue
      case $1 in upgrade | failed-upgrade) ;; *) [ ! -e "$root$code" ] || continue ;; esac
      rm -f "$link.new"
      ln -s "$lib/kept/\${code##*/}" "$link.new" && mv -T "$link.new" "$link"
    done`;

/**
 * dpkg removes the files of a version at its upgrade, while mounts may be served from them: what a keeper starts again after a death is found
 * through a link in the run directory (codeLink, src/cli/common/mounted.ts). So there is a copy first, of hard links, and those links are set
 * to it. `failed-upgrade`: the next version's script, which dpkg runs when the one before could not. A keeper holds a lock on its run directory.
 */
const prerm = `#!/bin/sh
lib=/usr/lib/swapfs
root=$DPKG_ROOT
served() {
  for link in "$root"/run/swapfs/*/code; do
    case $(readlink "$link") in
      $lib/kept/*) [ "$1" = all ] || continue ;;
      $lib/*) ;;
      *) continue ;;
    esac
    flock --nonblock "\${link%/code}" true || { echo "\${link%/code}"; return 0; }
  done
  return 1
}
keep() {
  for code in "$root$lib"/*; do
    kept=$root$lib/kept/\${code##*/}
    [ "\${code##*/}" != kept ] && [ -d "$code" ] && [ ! -e "$kept" ] || continue
    rm -rf "$kept.new"
    mkdir -p "\${kept%/*}" && cp -al "$code" "$kept.new" && mv "$kept.new" "$kept" || return 1
  done
}
case $1 in
  upgrade | failed-upgrade)
    if ! keep && run=$(served); then
      echo "swapfs: cannot upgrade the package: the files that $run is served from cannot be kept, make room, or run swapoff and umount first" >&2
      exit 1
    fi
${setLinks} ;;
  remove)
    if run=$(served all); then
      echo "swapfs: cannot remove the package: $run is served from it, run swapoff and umount first" >&2
      exit 1
    fi ;;
esac
exit 0
`;

/** Copies that no mount is served from any more go, and one that began since the copy was made gets it; systemd runs the generator again. */
const sweep = `#!/bin/sh
lib=/usr/lib/swapfs
root=$DPKG_ROOT
${setLinks}
for copy in "$root$lib/kept"/*; do
  [ -e "$copy" ] || continue
  used=
  for link in "$root"/run/swapfs/*/code; do
    [ "$(readlink "$link")" != "$lib/kept/\${copy##*/}" ] || used=1
  done
  [ "$used" ] || rm -rf "$copy"
done
rmdir "$root$lib/kept" 2>/dev/null
[ "$root" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
`;

const scripts = { prerm, postinst: `${sweep}exit 0\n`, postrm: `${sweep}case $1 in remove | purge) rm -rf "$root$lib/kept"; rmdir "$root/run/swapfs" 2>/dev/null ;; esac\nrmdir "$root$lib" 2>/dev/null\nexit 0\n` };
