// A Debian package of what --install puts into place, made with dpkg-deb alone.

import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
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

/**
 * dpkg removes the files of a version at its upgrade, while mounts may be served from them: what a keeper starts again after a death is found
 * through a link in the run directory (codeLink, src/cli/common/mounted.ts). So that link is set to a copy first, of hard links.
 */
const prerm = `#!/bin/sh
set -e
lib=/usr/lib/swapfs
for link in "$DPKG_ROOT"/run/swapfs/*/code; do
  code=$(readlink "$link") || continue
  case $1:$code in
    upgrade:$lib/kept/*) ;;
    upgrade:$lib/*)
      kept=$lib/kept/\${code##*/}
      if [ ! -e "$DPKG_ROOT$kept" ]; then
        rm -rf "$DPKG_ROOT$kept.new"
        mkdir -p "$DPKG_ROOT$lib/kept"
        cp -al "$DPKG_ROOT$code" "$DPKG_ROOT$kept.new"
        mv "$DPKG_ROOT$kept.new" "$DPKG_ROOT$kept"
      fi
      ln -s "$kept" "$link.new"
      mv -T "$link.new" "$link" ;;
    remove:$lib/*)
      echo "swapfs: cannot remove the package: \${link%/code} is served from it, run swapoff and umount first" >&2
      exit 1 ;;
  esac
done
`;

/** Copies that no mount is served from any more go; systemd runs the generator again. */
const sweep = `#!/bin/sh
set -e
kept=/usr/lib/swapfs/kept
for copy in "$DPKG_ROOT$kept"/*; do
  [ -e "$copy" ] || continue
  used=
  for link in "$DPKG_ROOT"/run/swapfs/*/code; do
    [ "$(readlink "$link")" != "$kept/\${copy##*/}" ] || used=1
  done
  [ "$used" ] || rm -rf "$copy"
done
rmdir "$DPKG_ROOT$kept" 2>/dev/null || true
[ "$DPKG_ROOT" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
`;

const scripts = { prerm, postinst: sweep, postrm: `${sweep}rmdir "$DPKG_ROOT/usr/lib/swapfs" 2>/dev/null || true\n` };
