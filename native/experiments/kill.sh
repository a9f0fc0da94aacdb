#!/usr/bin/env bash
# kill.sh [ROUNDS]: SIGKILL of the server with requests in flight, ROUNDS (20) times for each transport, while a keeper holds
# /dev/fuse and starts the next server. fio writes and verifies at depth 32 in two jobs. For each round: did a caller get an
# error, did one hang. A round that hangs is ended by aborting the connection. No swap is involved.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
rounds=${1:-20}
mount=$work/mnt

# The server's pid, of the last line that says one.
serving() { awk '/^serving/ { pid = $2 } END { print pid }' "$mount.serving"; }

# A request on each CPU: what waited in its queue is fetched with it (fuse_uring_do_register fetches nothing itself).
nudge() {
  local cpu
  for cpu in $(seq 0 $(($(nproc) - 1))); do timeout 5 taskset -c "$cpu" stat "$mount/file" >/dev/null 2>&1 || true; done
}

# one_round: prints "well", "error ..." or "hang"
one_round() {
  local job before status=0
  rm -f "$work/fio"
  fio --name=x --filename="$mount/file" --rw=randwrite --bs=4k,16k --direct=1 --ioengine=libaio --iodepth=32 --numjobs=2 --size=48M \
    --offset_increment=48M --verify=crc32c --verify_fatal=1 --verify_state_save=0 --minimal >"$work/fio" 2>&1 &
  job=$!
  sleep "0.$((RANDOM % 4 + 3))"
  before=$(wc -l <"$mount.serving")
  kill -KILL "$(serving)"
  for _ in $(seq 50); do
    (($(wc -l <"$mount.serving") > before)) && break
    sleep 0.02
  done
  sleep 0.2
  nudge
  for _ in $(seq 150); do
    kill -0 "$job" 2>/dev/null || break
    sleep 0.1
  done
  if kill -0 "$job" 2>/dev/null; then
    echo "hang"
    abort "$mount"
    wait "$job" 2>/dev/null || true
    return
  fi
  wait "$job" || status=$?
  if ((status == 0)); then echo well; else echo "error $(grep -o 'error=[A-Za-z ]*\|verify: bad[a-z ]*' "$work/fio" | sort | uniq -c | tr -s ' \n' ' ')"; fi
}

# rounds_of NAME OPTIONS...: each with a mount of its own
rounds_of() {
  local name=$1 round
  : >"$work/results"
  for ((round = 0; round < rounds; round++)); do
    serve "$device" "$mount" --keeper 1 "${@:2}"
    one_round >>"$work/results"
    stop "$mount"
  done
  echo "$name: $(sort "$work/results" | uniq -c | sort -rn | tr -s ' \n' ' ')"
}

# nobody_left NAME OPTIONS...: without a keeper
nobody_left() {
  local job
  serve "$device" "$mount" --keeper 0 "${@:2}"
  fio --name=x --filename="$mount/file" --rw=randread --bs=4k --direct=1 --ioengine=libaio --iodepth=32 --size=24M --time_based --runtime=10 \
    >"$work/fio" 2>&1 &
  job=$!
  sleep 0.5
  kill -KILL "$(serving)"
  wait "$job" || true
  echo "$1, nobody else holds /dev/fuse: $(grep -o 'error=[A-Za-z ]*' "$work/fio" | sort | uniq -c | tr -s ' \n' ' ')"
  stop "$mount"
}

allow_uring
zram $((128 << 20))
on_exit 'if mounted "$mount"; then abort "$mount"; stop "$mount"; fi'
nobody_left "/dev/fuse" --transport device
nobody_left "ring" --transport ring
rounds_of "/dev/fuse, sent again" --transport device --threads 4
rounds_of "ring, registered again" --transport ring --recovers 0
rounds_of "ring, registered again and replies given from memory that outlives the server" --transport ring
rounds_of "the same, 64 entries for each queue" --transport ring --depth 64
