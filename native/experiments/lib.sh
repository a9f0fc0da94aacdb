# Sourced by the experiments' scripts: a zram device, mounts of swapfs-fuse-uring, and an end that leaves nothing behind.
# Whoever sources it runs as root. Everything that is set up is undone by the trap on EXIT, the last first.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
server=$here/../build/swapfs-fuse-uring
work=$(mktemp -d)
undo=()

on_exit() { undo=("$1" "${undo[@]}"); }
finish() {
  local step
  for step in "${undo[@]}"; do eval "$step" || echo "cannot clean up: $step" >&2; done
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# enable_uring: on until the end, then what it was. It counts at FUSE_INIT only.
allow_uring() {
  local parameter=/sys/module/fuse/parameters/enable_uring
  [[ -e $parameter ]] || { echo "cannot try FUSE over io_uring: no $parameter, a kernel with CONFIG_FUSE_IO_URING is needed" >&2; exit 1; }
  on_exit "echo $(cat $parameter) >$parameter"
  echo Y >$parameter
}

# zram BYTES: sets `device`.
zram() {
  local id
  id=$(cat /sys/class/zram-control/hot_add)
  device=/dev/zram$id
  on_exit "for i in 1 2 3 4 5; do echo 1 >/sys/block/zram$id/reset && break; sleep 0.3; done; echo $id >/sys/class/zram-control/hot_remove"
  echo "$1" >"/sys/block/zram$id/disksize"
  until [[ -b $device ]]; do sleep 0.05; done
}

# serve DEVICE DIR [OPTIONS...]: mounts; mains[DIR] is the pid of the process that mounted (and keeps, if told so). Its lines
# "serving PID ..." go to DIR.serving.
declare -A mains
serve() {
  mkdir -p "$2"
  "$server" --device "$1" --mountpoint "$2" "${@:3}" >"$2.serving" 2>"$2.log" &
  disown  # so that bash says nothing of its SIGKILL
  mains[$2]=$!
  for _ in $(seq 100); do
    if [[ -s $2.serving ]] && timeout 2 stat "$2/file" >/dev/null 2>&1; then return; fi
    kill -0 "${mains[$2]}" 2>/dev/null || break
    sleep 0.05
  done
  echo "cannot mount: $(cat "$2.log")" >&2
  exit 1
}

# mounted DIR: also when its server is dead, and mountpoint(1) gets ENOTCONN.
mounted() { awk -v dir="$1" '$5 == dir { found = 1 } END { exit !found }' /proc/self/mountinfo; }

# stop DIR: unmounts, and waits for the process that mounted. When requests hang the connection is aborted first.
stop() {
  mounted "$1" || return 0
  timeout 5 umount "$1" || { abort "$1"; umount -l "$1"; }
  while kill -0 "${mains[$1]}" 2>/dev/null; do sleep 0.05; done
}

# abort DIR: every request of the mount ends with ECONNABORTED.
abort() {
  local control=/sys/fs/fuse/connections major_minor
  mounted "$control" || { mount -t fusectl none "$control"; on_exit "umount $control"; }
  major_minor=$(awk -v dir="$1" '$5 == dir { print $3 }' /proc/self/mountinfo)
  echo 1 >"$control/$((${major_minor%:*} * 1048576 + ${major_minor#*:}))/abort"
}

# swap_header FILE: as mkswap does it, but in whole pages, since the file takes nothing else.
swap_header() {
  truncate --size "$(stat -c %s "$1")" "$work/header"
  chmod 600 "$work/header"
  mkswap "$work/header" >"$work/mkswap" 2>&1
  dd if="$work/header" of="$1" bs=4096 count=1 oflag=direct conv=notrunc status=none
  rm "$work/header"
}
