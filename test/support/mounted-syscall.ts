// System calls that neither Node nor a program of Debian's base offers, made by perl, which is in Debian's base.
// x86_64 and arm64 numbers: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h.

import { constants } from "node:os";

import { run, type RunOptions } from "./mounted-run";

const numbers = {
  x64: {
    ioctl: 16, truncate: 76, swapon: 167, fallocate: 285, renameat2: 316, lseek: 8, mmap: 9, read: 0, msync: 26, mknod: 133, link: 86,
    setxattr: 188, lsetxattr: 189, getxattr: 191, listxattr: 194, removexattr: 197, unlink: 87, rmdir: 84, rename: 82,
    name_to_handle_at: 303, open_by_handle_at: 304,
  },
  arm64: {
    ioctl: 29, truncate: 45, swapon: 224, fallocate: 47, renameat2: 276, lseek: 62, mmap: 222, read: 63, msync: 227,
    setxattr: 5, lsetxattr: 6, getxattr: 8, listxattr: 11, removexattr: 14,
    name_to_handle_at: 264, open_by_handle_at: 265,
  },
} as Record<string, Record<string, number>>;

/** A number, a string (NUL is added), or room for the kernel's answer. */
export type Argument = number | string | { readonly room: number };

export interface Called {
  /** The result, or the errno's name when it was -1. */
  readonly result: number | string;
  /** What the kernel put in the first room, as many bytes as `result` says. */
  readonly out: Buffer;
}

/** Makes one system call in a process of its own. */
export async function syscall(name: string, args: readonly Argument[], options: RunOptions = {}): Promise<Called> {
  const number = numbers[process.arch]?.[name];
  if (number === undefined) throw new Error(`no number for system call ${name} on ${process.arch}`);
  return perl(`
    my @a = map { my ($k, $v) = split(/:/, $_, 2); $k eq "n" ? int($v) : $k eq "r" ? "\\0" x $v : pack("H*", $v) . "\\0" } @ARGV;
    my $r = syscall(${number}, @a);
    my ($room) = grep { $ARGV[$_] =~ /^r:/ } 0 .. $#ARGV;
    print $r == -1 ? "-" . ($! + 0) : $r, " ", defined $room && $r > 0 ? unpack("H*", substr($a[$room], 0, $r)) : "";
  `, args.map(encode), options);
}

/** renameat2 with its flags: 1 NOREPLACE, 2 EXCHANGE, 4 WHITEOUT. */
export async function renameat2(from: string, to: string, flags: number): Promise<number | string> {
  const atFdcwd = -100;
  return (await syscall("renameat2", [atFdcwd, from, atFdcwd, to, flags])).result;
}

/** fallocate with any mode, on a file that is opened for writing. */
export async function fallocate(file: string, mode: number, offset: number, length: number): Promise<number | string> {
  return (await withFile(file, `syscall(${numbers[process.arch]!["fallocate"]}, fileno($f), ${mode}, ${offset}, ${length})`)).result;
}

/** SEEK_DATA (3) or SEEK_HOLE (4) from `offset`: the offset found, or the errno's name. */
export async function lseek(file: string, offset: number, whence: 3 | 4): Promise<number | string> {
  return (await withFile(file, `syscall(${numbers[process.arch]!["lseek"]}, fileno($f), ${offset}, ${whence})`)).result;
}

/** Writes `text` at `offset` of `file` through a shared mapping, msync and all. */
export async function mmapWrite(file: string, offset: number, text: string): Promise<number | string> {
  const call = numbers[process.arch]!;
  const page = Math.floor(offset / 4096) * 4096;
  // perl cannot store through an address, but read(2) can: a pipe carries the text into the mapping.
  return (await withFile(file, `do {
    my $at = syscall(${call["mmap"]}, 0, 8192, 3, 1, fileno($f), ${page});
    if ($at == -1) { -1 } else {
      pipe(my $r, my $w); syswrite($w, pack("H*", "${Buffer.from(text).toString("hex")}"));
      my $n = syscall(${call["read"]}, fileno($r), $at + ${offset - page}, ${Buffer.byteLength(text)});
      my $s = syscall(${call["msync"]}, $at, 8192, 4);
      $s == -1 ? -1 : $n
    }
  }`)).result;
}

/** An ioctl without an argument of its own on an open file. */
export async function ioctl(file: string, request: number): Promise<number | string> {
  return (await withFile(file, `syscall(${numbers[process.arch]!["ioctl"]}, fileno($f), ${request}, my $b = "\\0" x 256)`)).result;
}

/** struct file_handle of a path, as hex. */
export async function fileHandle(file: string): Promise<string> {
  const done = await perl(`
    my ($atFdcwd, $path, $handle, $mount) = (-100, pack("H*", $ARGV[0]), pack("Ll", 128, 0) . "\\0" x 128, "\\0" x 8);
    my $r = syscall(${numbers[process.arch]!["name_to_handle_at"]}, $atFdcwd, $path, $handle, $mount, 0);
    print $r == -1 ? "-" . ($! + 0) . " " : "0 " . unpack("H*", substr($handle, 0, 8 + unpack("L", $handle)));
  `, [Buffer.from(file).toString("hex")], {});
  if (done.result !== 0) throw new Error(`name_to_handle_at: ${done.result}`);
  return done.out.toString("hex");
}

/** The first bytes of the file that the handle names on the mount, or the errno's name. */
export async function readByHandle(mountpoint: string, handle: string): Promise<string> {
  const { result, out } = await perl(`
    open(my $m, "<", pack("H*", $ARGV[0])) or die;
    my $handle = pack("H*", $ARGV[1]);
    my $fd = syscall(${numbers[process.arch]!["open_by_handle_at"]}, fileno($m), $handle, 0);
    if ($fd == -1) { print "-" . ($! + 0) . " "; exit }
    open(my $f, "<&=", $fd) or die;
    my $n = sysread($f, my $text, 64);
    print "$n ", unpack("H*", $text);
  `, [Buffer.from(mountpoint).toString("hex"), handle], {});
  return typeof result === "string" ? result : out.toString();
}

function withFile(file: string, expression: string): Promise<Called> {
  return perl(`
    my $path = pack("H*", $ARGV[0]);
    open(my $f, "+<", $path) or do { print "-" . ($! + 0) . " "; exit };
    my $r = ${expression};
    print $r == -1 ? "-" . ($! + 0) : $r, " ";
  `, [Buffer.from(file).toString("hex")], {});
}

async function perl(script: string, args: readonly string[], options: RunOptions): Promise<Called> {
  const done = await run("perl", ["-e", script, "--", ...args], options);
  const match = /^(-?\d+) ([0-9a-f]*)$/.exec(done.stdout);
  if (done.status !== 0 || !match) throw new Error(`perl: status ${done.status} ${done.stdout}${done.stderr}`);
  const value = Number(match[1]);
  return { result: value < 0 ? nameOf(value) : value, out: Buffer.from(match[2]!, "hex") };
}

function encode(argument: Argument): string {
  if (typeof argument === "number") return `n:${argument}`;
  if (typeof argument === "string") return `s:${Buffer.from(argument).toString("hex")}`;
  return `r:${argument.room}`;
}

/** os.constants has ESTALE, which libuv's names lack; ENOTSUP is the kernel's EOPNOTSUPP, EAGAIN comes before EWOULDBLOCK. */
function nameOf(negative: number): string {
  const [name] = Object.entries(constants.errno).find(([, code]) => code === -negative) ?? [`errno ${-negative}`];
  return name === "ENOTSUP" ? "EOPNOTSUPP" : name;
}
