#!/usr/bin/env bash
# measure.sh [bmap|depth1|deep|large] [ROUNDS]: what FUSE over io_uring gives beside /dev/fuse and the product's data plane, each
# on a zram device of its own, one after the other, ROUNDS (3) times. Medians, and all values. About 40 s each; the machine
# must be quiet, and nothing but the moment of a swapon swaps.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
rows=${1:-depth1} rounds=${2:-3}
swapfs() { node "$here/../../dist/cli/main.js" "$@"; }

# name and options of swapfs-fuse-uring
contenders=(device device4 ring ring-looks swapfs)
declare -A options=(
  [device]="--transport device"                                 # one reader, which looks before it sleeps
  [device4]="--transport device --threads 4"                    # four that sleep
  [ring]="--transport ring --looks 0"                           # a queue and a pinned thread for each CPU
  [ring-looks]="--transport ring --looks 1 --deferred 0 --pinned 0"
)

set_up() {
  local name mount
  allow_uring
  dd if=/dev/urandom of="$work/random" bs=1M count=128 status=none
  for name in "${contenders[@]}"; do
    zram $((1100 << 20))
    mount=$work/$name
    if [[ $name == swapfs ]]; then
      mkdir "$mount"
      swapfs mount "$device" "$mount" --format >/dev/null
      on_exit "umount $mount; sleep 1  # its processes let go of the device"
      swapfs create "$mount/file" --size 1G >/dev/null
      swapfs activate "$mount/file" >/dev/null 2>&1
    else
      on_exit "stop $mount"
      # shellcheck disable=SC2086  # options are words
      serve "$device" "$mount" ${options[$name]}
    fi
    dd if="$work/random" of="$mount/file" bs=1M oflag=direct conv=notrunc status=none
    swap_header "$mount/file"
  done
  sleep 1
}

# bmap FILE: ns of swapon for each page
bmap() {
  local start end
  start=$(date +%s%N)
  swapon -p 10 "$1"
  end=$(date +%s%N)
  swapoff "$1"
  echo $(((end - start) / ($(stat -c %s "$1") / 4096)))
}

# reads FILE FIO-OPTIONS...: requests a second
reads() {
  fio --name=x --filename="$1" --direct=1 --size=128M --runtime=700ms --time_based --group_reporting --minimal "${@:2}" | cut -d';' -f8
}

row() {  # row NAME COMMAND...: "{}" stands for the file
  local name=$1 who round file
  for ((round = 0; round < rounds; round++)); do
    for who in "${contenders[@]}"; do
      file=$work/$who/file
      "$2" "$file" "${@:3}" >>"$work/$who.values"
    done
  done
  for who in "${contenders[@]}"; do
    printf '%-28s %-10s %10s   (%s)\n' "$name" "$who" "$(sort -n "$work/$who.values" | sed -n "$(((rounds + 1) / 2))p")" "$(tr '\n' ' ' <"$work/$who.values")"
    rm "$work/$who.values"
  done
}

set_up
echo "$(date -u +%F) $(uname -r), $(nproc) CPUs, load $(cut -d' ' -f1 /proc/loadavg)"
case $rows in
  bmap) row "swapon, ns a page" bmap ;;
  depth1)
    row "4 KiB random, depth 1, 1 job" reads --rw=randread --bs=4k --ioengine=psync
    row "4 KiB random, depth 1, 2 jobs" reads --rw=randread --bs=4k --ioengine=psync --numjobs=2
    ;;
  deep)
    row "4 KiB random, depth 32, 1 job" reads --rw=randread --bs=4k --ioengine=libaio --iodepth=32
    row "4 KiB random, depth 32, 2 jobs" reads --rw=randread --bs=4k --ioengine=libaio --iodepth=32 --numjobs=2
    ;;
  large)
    row "128 KiB, depth 1" reads --rw=read --bs=128k --ioengine=psync
    row "128 KiB, depth 4" reads --rw=read --bs=128k --ioengine=libaio --iodepth=4
    row "1 MiB, depth 1" reads --rw=read --bs=1M --ioengine=psync
    row "1 MiB, depth 4" reads --rw=read --bs=1M --ioengine=libaio --iodepth=4
    ;;
  *) echo "no rows named $rows: bmap, depth1, deep or large" >&2; exit 2 ;;
esac
