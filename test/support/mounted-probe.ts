// What a file lets programs do to it, all in one process: each attempt's errno by name, "ok" when it went through.

import { must } from "./mounted-run";

// x86_64 and arm64: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h
const numbers: Record<string, Record<string, number>> = {
  x64: { pwrite: 18, mmap: 9, fallocate: 285, ftruncate: 77, truncate: 76, copy: 326, renameat2: 316, ioctl: 16, sendfile: 40, direct: 0o40000 },
  arm64: { pwrite: 68, mmap: 222, fallocate: 47, ftruncate: 46, truncate: 45, copy: 285, renameat2: 276, ioctl: 29, sendfile: 71, direct: 0o200000 },
};

// What goes through unexpectedly must not spoil the attempts after it, so those that would take the file away come last.
const script = `
  my ($path, $dir, %n) = (@ARGV);
  sub say_it { my ($name, $value) = @_; my $e = $value == -1 ? (sort grep { $!{$_} } keys %!)[0] : "ok"; print "$name $e\\n" }
  sub handle { sysopen(my $f, $path, $_[0]) or return; $f }
  my $size = -s $path; my $page = "x" x 4096; my $at;
  my $rw = handle(O_RDWR); my $fd = $rw ? fileno($rw) : -1; my $read = handle(O_RDONLY);
  say_it("open for writing", $rw ? 0 : -1);
  say_it("write", syscall($n{pwrite}, $fd, $page, 4096, 8192));
  my $append = handle(O_WRONLY | O_APPEND); say_it("append", syswrite($append, $page) // -1);
  my $direct = handle(O_RDWR | $n{direct}); my $room = "y" x 12288;
  say_it("direct write", syscall($n{pwrite}, fileno($direct), (unpack("J", pack("P", $room)) + 4095) & ~4095, 4096, 8192));
  say_it("shared writable mmap", syscall($n{mmap}, 0, 4096, 3, 1, $fd, 0));
  say_it("private mmap", syscall($n{mmap}, 0, 4096, 3, 2, fileno($read), 0));
  say_it("shared mmap to read", syscall($n{mmap}, 0, 4096, 1, 1, fileno($read), 0));
  say_it("ftruncate shorter", syscall($n{ftruncate}, $fd, $size - 4096));
  say_it("ftruncate to its size", syscall($n{ftruncate}, $fd, $size));
  say_it("truncate shorter", syscall($n{truncate}, $path, $size - 4096));
  say_it("open with O_TRUNC", handle(O_WRONLY | O_TRUNC) ? 0 : -1);
  say_it("fallocate inside", syscall($n{fallocate}, $fd, 0, 0, 4096));
  say_it("fallocate beyond", syscall($n{fallocate}, $fd, 0, $size, 4096));
  say_it("fallocate beyond, keep size", syscall($n{fallocate}, $fd, 1, $size, 4096));
  say_it("punch a hole", syscall($n{fallocate}, $fd, 3, 4096, 4096));
  say_it("zero a range", syscall($n{fallocate}, $fd, 16, 4096, 4096));
  open(my $other, "+>", "$dir/other"); syswrite($other, "z" x 65536); my $other_fd = fileno($other);
  my ($from, $to) = (pack("q", 0), pack("q", 4096));
  say_it("copy_file_range into it", syscall($n{copy}, $other_fd, $from, $fd, $to, 4096, 0));
  ($from, $to) = (pack("q", 0), pack("q", 0));
  say_it("copy_file_range from it", syscall($n{copy}, fileno($read), $from, $other_fd, $to, 4096, 0));
  $from = pack("q", 0); sysseek($rw, 0, 0);
  say_it("sendfile into it", syscall($n{sendfile}, $fd, $other_fd, $from, 4096));
  say_it("read", sysread($read, my $got, 4096) // -1);
  say_it("chmod", chmod(0600, $path) ? 0 : -1);
  say_it("utimes", utime(undef, undef, $path) ? 0 : -1);
  say_it("link", link($path, "$path.link") ? 0 : -1);
  say_it("rename over it", rename("$dir/other", $path) ? 0 : -1);
  open(my $peer, ">", "$dir/peer"); close($peer);
  say_it("exchange with it", syscall($n{renameat2}, -100, $path, -100, "$dir/peer", 2));
  say_it("rename it", rename($path, "$path.away") ? 0 : -1);
  say_it("ftruncate longer", syscall($n{ftruncate}, $fd, $size + 8192));
  say_it("unlink a second name", unlink("$path.link") ? 0 : -1);
`;

/** Attempt by attempt on `file`, which lies in `dir`; the file stays, and may be longer afterwards. */
export async function probe(file: string, dir: string): Promise<Record<string, string>> {
  const calls = Object.entries(numbers[process.arch]!).flatMap(([name, number]) => [name, String(number)]);
  const numeric = "$n{$_} += 0 for keys %n;";
  const text = script.replace("(@ARGV);", `(@ARGV); ${numeric}`);
  const printed = await must("perl", ["-MFcntl", "-MErrno", "-e", text, "--", file, dir, ...calls]);
  return Object.fromEntries(printed.trim().split("\n").map((line) => {
    const at = line.lastIndexOf(" ");
    const code = line.slice(at + 1);
    return [line.slice(0, at), code === "ENOTSUP" ? "EOPNOTSUPP" : code];
  }));
}
