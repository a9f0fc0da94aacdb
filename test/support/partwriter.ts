// Writes a few bytes into each page of a file, in one process, and nothing else: the rest of each page must be zeros.

import { must, run } from "./mounted-run";
import { ownByte } from "./marker";

export type How = "buffered" | "direct" | "mapped";

// arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h
const numbers = process.arch === "arm64" ? { mmap: 222, read: 63, direct: 0o200000 } : { mmap: 9, read: 0, direct: 0o40000 };

// Some parts reach over the end of their page. Perl cannot store through an address, but read(2) from a pipe can.
const script = `
  use Fcntl; use Errno qw(ENOSPC);
  my ($path, $how, $pages, $mmap, $read, $direct) = @ARGV; $_ += 0 for $pages, $mmap, $read, $direct;
  sysopen(my $f, $path, O_RDWR | O_CREAT | ($how eq "direct" ? $direct : 0), 0600) or die "open: $!";
  my ($at, $r, $w);
  if ($how eq "mapped") {
    $at = syscall($mmap, 0, $pages * 4096, 3, 1, fileno($f), 0); die "mmap: $!" if $at == -1;
    pipe($r, $w);
  }
  for my $page (0 .. $pages - 1) {
    my ($from, $count) = ($page * 97 % 4095, 1 + $page % 5);
    ($from, $count) = ($page % 8 * 512, 512) if $how eq "direct" && $page % 2;
    $count = 4096 - $from if $from + $count > 4096 && ($how eq "mapped" || $page == $pages - 1);
    my $bytes = chr(${ownByte}) x $count;
    if ($how eq "mapped") {
      syswrite($w, $bytes); syscall($read, fileno($r), $at + $page * 4096 + $from, $count) == $count or die "store: $!";
    } else {
      sysseek($f, $page * 4096 + $from, 0);
      my $done = syswrite($f, $bytes);
      if (!defined $done || $done < $count) { die "write: $!" unless !defined $done && $! == ENOSPC || defined $done; $pages = $page; last }
    }
  }
  close($f) or die "close: $!";
  print $pages;
`;

const argumentsFor = (file: string, how: How, pages: number): string[] =>
  ["-e", script, "--", file, how, String(pages), String(numbers.mmap), String(numbers.read), String(numbers.direct)];

/** A part of each of the first `pages` pages, until there is no space left. Returns how many pages got one. */
export async function writeParts(file: string, how: How, pages: number): Promise<number> {
  return Number(await must("perl", argumentsFor(file, how, pages)));
}

/** The same for a mount that dies meanwhile. */
export async function tryWriteParts(file: string, how: How, pages: number): Promise<void> {
  await run("perl", argumentsFor(file, how, pages));
}
