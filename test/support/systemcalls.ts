// System calls one after the other in one long-lived process: thousands of them in a second, each with its exact errno, and
// a call that hangs does not hang the test runner. Contents are named, not sent: (stamp, length) stands for the bytes.

import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

import type { Cleanup } from "./mounted-cleanup";

// What a call returns, or the name of its errno. A line in, a line out.
const script = `
import ctypes, errno, hashlib, json, mmap, os, sys
from array import array
libc = ctypes.CDLL(None, use_errno=True)
held = []

def raw(result):
    if result == -1: raise OSError(ctypes.get_errno(), "")
    return result

def stamped(stamp, length):
    words = (length + 7) // 8
    return array("Q", range(stamp << 32, (stamp << 32) + words)).tobytes()[:length]

def opened(path, flags, work):
    fd = os.open(path, flags)
    try: return work(fd)
    finally: os.close(fd)

def create(path): return opened(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, lambda fd: os.fchmod(fd, 0o600) or 0)
def write(path, offset, length, stamp): return opened(path, os.O_WRONLY, lambda fd: os.pwrite(fd, stamped(stamp, length), offset))
def write_by_page(path, offset, length, stamp):
    data = stamped(stamp, length)
    return opened(path, os.O_WRONLY, lambda fd: sum(os.pwrite(fd, data[at:at + 4096], offset + at) for at in range(0, length, 4096)))
def write_direct(path, offset, length, stamp):
    with mmap.mmap(-1, length) as room:
        room.write(stamped(stamp, length))
        return opened(path, os.O_WRONLY | os.O_DIRECT, lambda fd: os.pwritev(fd, [room], offset))
def write_mapped(path, offset, length, stamp):
    start = offset // 4096 * 4096
    def work(fd):
        with mmap.mmap(fd, offset + length - start, offset=start) as room:
            room[offset - start:] = stamped(stamp, length)
            room.flush()
        return length
    return opened(path, os.O_RDWR, work)
def copy(source, offset_in, target, offset_out, length):
    return opened(source, os.O_RDONLY, lambda a: opened(target, os.O_WRONLY, lambda b: os.copy_file_range(a, b, length, offset_in, offset_out)))
def copy_by_page(source, target, pages):
    def work(a, b): return sum(os.copy_file_range(a, b, 4096, at * 4096, at * 4096) for at in range(pages))
    return opened(source, os.O_RDONLY, lambda a: opened(target, os.O_WRONLY, lambda b: work(a, b)))
def inherit_tails(folder, target, rounds, stamp):
    name = os.path.join(folder, "x")
    create(name)
    def work(a, b):
        start = (os.fstat(b).st_size + 4095) // 4096 * 4096
        for at in range(start, start + rounds * 16384, 16384):
            os.pwrite(a, stamped(stamp, 100), 0)
            os.copy_file_range(a, b, 100, 0, at)
            os.ftruncate(a, 0)
            os.pwrite(b, stamped(stamp, 100), at + 8192)
            os.pwrite(b, stamped(stamp + 1, 50), at)
        return rounds
    try: return opened(name, os.O_RDWR, lambda a: opened(target, os.O_WRONLY, lambda b: work(a, b)))
    finally: os.unlink(name)
def fallocate(path, mode, offset, length):
    return opened(path, os.O_RDWR, lambda fd: raw(libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length))))
def truncate(path, size): return os.truncate(path, size) or 0
def rename(source, target): return os.rename(source, target) or 0
def exchange(a, b): return raw(libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), 2))
def link(path, name): return os.link(path, name) or 0
def unlink(path): return os.unlink(path) or 0
def names_come_and_go(folder, rounds):
    a, b, c = (os.path.join(folder, name) for name in ("x", "y", "z"))
    for _ in range(rounds):
        create(a)
        os.link(a, b)
        os.rename(b, c)
        create(b)
        os.rename(b, a)
        os.unlink(a)
        os.unlink(c)
    return 0
def hold_open(path, writes): return os.open(path, os.O_RDWR if writes else os.O_RDONLY)
def close(fd): return os.close(fd) or 0
def digest(fd):
    found, at = hashlib.sha1(), 0
    while True:
        part = os.pread(fd, 1 << 16, at)
        if not part: return found.hexdigest()
        found.update(part)
        at += len(part)
def get_xattr(path, name): return os.getxattr(path, name).decode()
def set_xattr(path, name, value): return os.setxattr(path, name, value.encode()) or 0
def remove_xattr(path, name): return os.removexattr(path, name) or 0
def fsync(path): return opened(path, os.O_RDONLY, os.fsync) or 0
def drop_cache(path): return opened(path, os.O_RDONLY, lambda fd: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)) or 0
def swapon(path): return raw(libc.swapon(os.fsencode(path), 0x8000 | 10))
def swapoff(path): return raw(libc.swapoff(os.fsencode(path)))
def hold(stamp, length):
    room = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    room.write(stamped(stamp, length))
    held.append((stamp, length, room))
    room.madvise(21) # MADV_PAGEOUT
    return 0
def let_go():
    wrong = sum(room[:] != stamped(stamp, length) for stamp, length, room in held)
    for _, _, room in held: room.close()
    held.clear()
    return wrong

for line in sys.stdin:
    name, *arguments = json.loads(line)
    try: answer = globals()[name](*arguments)
    except OSError as error: answer = errno.errorcode[error.errno]
    print(json.dumps("EOPNOTSUPP" if answer == "ENOTSUP" else answer), flush=True)
`;

export type Answer = number | string;

export class SystemCalls {
  readonly #child: ChildProcess;
  readonly #waiting: { resolve(answer: Answer): void; reject(error: Error): void }[] = [];

  /** Of the process that makes the calls. */
  get pid(): number {
    return this.#child.pid!;
  }

  /** Ends with `cleanup`. */
  constructor(cleanup: Cleanup) {
    this.#child = spawn("python3", ["-c", script], { stdio: ["pipe", "pipe", "inherit"] });
    const gone = new Promise<void>((resolve) => this.#child.once("exit", () => resolve()));
    createInterface({ input: this.#child.stdout! }).on("line", (line) => this.#waiting.shift()!.resolve(JSON.parse(line) as Answer));
    void gone.then(() => this.#waiting.splice(0).forEach(({ reject }) => reject(new Error("the process of the system calls has ended"))));
    this.#child.stdin!.on("error", () => undefined);
    cleanup.add("system calls", async () => {
      this.#child.stdin!.end();
      const timer = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
      await gone;
      clearTimeout(timer);
    });
  }

  create = (path: string): Promise<Answer> => this.#call("create", path);
  write = (path: string, offset: number, length: number, stamp: number): Promise<Answer> => this.#call("write", path, offset, length, stamp);
  /** In calls of a page each; their sum. */
  writeByPage = (path: string, offset: number, length: number, stamp: number): Promise<Answer> => this.#call("write_by_page", path, offset, length, stamp);
  writeDirect = (path: string, offset: number, length: number, stamp: number): Promise<Answer> => this.#call("write_direct", path, offset, length, stamp);
  /** Inside the file, through a shared mapping, and msync. */
  writeMapped = (path: string, offset: number, length: number, stamp: number): Promise<Answer> => this.#call("write_mapped", path, offset, length, stamp);
  /** copy_file_range(2), once. */
  copy = (source: string, offsetIn: number, target: string, offsetOut: number, length: number): Promise<Answer> =>
    this.#call("copy", source, offsetIn, target, offsetOut, length);
  /** The first pages of a file, in calls of a page each; their sum. */
  copyByPage = (source: string, target: string, pages: number): Promise<Answer> => this.#call("copy_by_page", source, target, pages);
  /**
   * Each time: the last page becomes one that was shared with x until just now, 100 bytes are written two pages behind it, and
   * 50 into it. x is not there before and after.
   */
  inheritTails = (folder: string, target: string, rounds: number, stamp: number): Promise<Answer> =>
    this.#call("inherit_tails", folder, target, rounds, stamp);
  fallocate = (path: string, mode: number, offset: number, length: number): Promise<Answer> => this.#call("fallocate", path, mode, offset, length);
  truncate = (path: string, size: number): Promise<Answer> => this.#call("truncate", path, size);
  rename = (source: string, target: string): Promise<Answer> => this.#call("rename", source, target);
  /** renameat2(2) with RENAME_EXCHANGE. */
  exchange = (a: string, b: string): Promise<Answer> => this.#call("exchange", a, b);
  link = (path: string, name: string): Promise<Answer> => this.#call("link", path, name);
  unlink = (path: string): Promise<Answer> => this.#call("unlink", path);
  /** Creates, links, renames, renames over and unlinks x, y and z, which are not there before and after. */
  namesComeAndGo = (folder: string, rounds: number): Promise<Answer> => this.#call("names_come_and_go", folder, rounds);
  /** The descriptor, which stays open; its path is /proc/PID/fd/N. */
  holdOpen = (path: string, writes: boolean): Promise<Answer> => this.#call("hold_open", path, Number(writes));
  close = (fd: number): Promise<Answer> => this.#call("close", fd);
  /** sha1 of all that is read through the descriptor. */
  digest = (fd: number): Promise<Answer> => this.#call("digest", fd);
  getXattr = (path: string, name: string): Promise<Answer> => this.#call("get_xattr", path, name);
  setXattr = (path: string, name: string, value: string): Promise<Answer> => this.#call("set_xattr", path, name, value);
  removeXattr = (path: string, name: string): Promise<Answer> => this.#call("remove_xattr", path, name);
  fsync = (path: string): Promise<Answer> => this.#call("fsync", path);
  /** What is cached of it and clean. */
  dropCache = (path: string): Promise<Answer> => this.#call("drop_cache", path);
  /** swapon(2) and swapoff(2) themselves, with priority 10. */
  swapon = (path: string): Promise<Answer> => this.#call("swapon", path);
  swapoff = (path: string): Promise<Answer> => this.#call("swapoff", path);
  /** Memory with these contents, paged out as far as there is swap. */
  hold = (stamp: number, length: number): Promise<Answer> => this.#call("hold", stamp, length);
  /** How many of the held pieces of memory came back wrong; they are gone then. */
  letGo = (): Promise<Answer> => this.#call("let_go");

  #call(...line: (string | number)[]): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return reject(new Error("the process of the system calls has ended"));
      this.#waiting.push({ resolve, reject });
      this.#child.stdin!.write(`${JSON.stringify(line)}\n`);
    });
  }
}

/** The bytes that (stamp, length) stands for: every 8 of them differ from all others. */
export function stamped(stamp: number, length: number): Buffer {
  const words = new Uint32Array(2 * Math.ceil(length / 8));
  for (let at = 0; at < words.length; at += 2) [words[at], words[at + 1]] = [at / 2, stamp];
  return Buffer.from(words.buffer).subarray(0, length);
}
