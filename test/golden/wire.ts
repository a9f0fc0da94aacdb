// FUSE requests and replies as they cross /dev/fuse, byte for byte, annotated. Little-endian.

/** Bytes of annotated hex: what follows "#" in a line is a remark, and "text" in quotes stands for its bytes. */
export function bytesOf(annotated: string): Buffer {
  const parts = annotated.split("\n").map((line) => line.replace(/#.*$/, "")).join(" ").match(/"[^"]*"|[0-9a-f]{2}/g) ?? [];
  return Buffer.concat(parts.map((part) => Buffer.from(part.replaceAll('"', ""), part.startsWith('"') ? "latin1" : "hex")));
}

export const init_request = `
68 00 00 00  1a 00 00 00                # len 104, FUSE_INIT
02 00 00 00 00 00 00 00                 # unique 2
00 00 00 00 00 00 00 00                 # nodeid 0
00 00 00 00  00 00 00 00  00 00 00 00   # uid, gid, pid
00 00  00 00                            # total_extlen, padding
07 00 00 00  2d 00 00 00                # major 7, minor 45
00 00 02 00                             # max_readahead 128 KiB
fb ff ff 73                             # flags: all that Linux 6.18 offers, FUSE_INIT_EXT (bit 30) among them
ff 07 00 00                             # flags2: bits 32 to 42
00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 # unused[11]
`;

/** Linux 5.4: no flags2. */
export const init_request_7_31 = `
38 00 00 00  1a 00 00 00                # len 56, FUSE_INIT
02 00 00 00 00 00 00 00                 # unique 2
00 00 00 00 00 00 00 00                 # nodeid 0
00 00 00 00  00 00 00 00  00 00 00 00   # uid, gid, pid
00 00  00 00                            # total_extlen, padding
07 00 00 00  1f 00 00 00                # major 7, minor 31
00 00 02 00                             # max_readahead 128 KiB
fb ff ff 03                             # flags
`;

export const init_reply = `
50 00 00 00  00 00 00 00                # len 80, no error
02 00 00 00 00 00 00 00                 # unique 2
07 00 00 00  2d 00 00 00                # major 7, minor 45
00 00 10 00                             # max_readahead 1 MiB: the keeper has raised what the kernel offers
31 e0 c4 50                             # ASYNC_READ EXPORT_SUPPORT BIG_WRITES DO_READDIRPLUS READDIRPLUS_AUTO ASYNC_DIO PARALLEL_DIROPS
                                        # MAX_PAGES CACHE_SYMLINKS HANDLE_KILLPRIV_V2 INIT_EXT; never WRITEBACK_CACHE (bit 16)
40 00  30 00                            # max_background 64, congestion_threshold 48
00 00 10 00                             # max_write 1 MiB
01 00 00 00                             # time_gran 1 ns
00 01  00 00                            # max_pages 256, map_alignment
80 00 00 00                             # flags2: HAS_RESEND (39)
00 00 00 00  00 00                      # max_stack_depth, request_timeout
00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 # unused[11]
`;

export const lookup_request = `
2a 00 00 00  01 00 00 00                # len 42, FUSE_LOOKUP
04 00 00 00 00 00 00 00                 # unique 4
01 00 00 00 00 00 00 00                 # nodeid 1
e8 03 00 00  64 00 00 00  39 30 00 00   # uid 1000, gid 100, pid 12345
00 00  00 00                            # total_extlen, padding
"a" 00                                  # name
`;

export const lookup_request_with_extension = `
32 00 00 00  01 00 00 00                # len 50, FUSE_LOOKUP
04 00 00 00 00 00 00 00                 # unique 4
01 00 00 00 00 00 00 00                 # nodeid 1
e8 03 00 00  64 00 00 00  39 30 00 00   # uid 1000, gid 100, pid 12345
01 00  00 00                            # total_extlen: one unit of 8 bytes behind the names
"a" 00                                  # name
08 00 00 00  20 00 00 00                # fuse_ext_header size 8, FUSE_EXT_GROUPS
`;

export const negative_lookup_reply = `
90 00 00 00  00 00 00 00                # len 144, no error
04 00 00 00 00 00 00 00                 # unique 4
00 00 00 00 00 00 00 00                 # nodeid 0: there is no such name
00 00 00 00 00 00 00 00                 # generation
80 51 01 00 00 00 00 00                 # entry_valid: the kernel may remember that for a day
${"00 ".repeat(8 + 8 + 88)}             # attr_valid, nanoseconds, attr
`;

export const entry_reply = `
90 00 00 00  00 00 00 00                # len 144, no error
04 00 00 00 00 00 00 00                 # unique 4
34 12 00 00 01 00 00 00                 # nodeid 0x100001234
00 00 00 00 00 00 00 00                 # generation 0: numbers are never used again
80 51 01 00 00 00 00 00                 # entry_valid a day
80 51 01 00 00 00 00 00                 # attr_valid a day
00 00 00 00  00 00 00 00                # entry_valid_nsec, attr_valid_nsec
34 12 00 00 01 00 00 00                 # attr.ino
01 10 00 00 02 00 00 00                 # attr.size 8 GiB + 4097
10 00 00 00 00 00 00 00                 # attr.blocks 16 sectors
ff ff ff ff ff ff ff ff                 # attr.atime one second before 1970
80 43 6d 38 00 00 00 00                 # attr.mtime 946684800, the year 2000
00 00 00 00 01 00 00 00                 # attr.ctime 2^32
ff c9 9a 3b  01 00 00 00  00 00 00 00   # atimensec 999999999, mtimensec 1, ctimensec 0
a4 81 00 00                             # mode 0100644
02 00 00 00                             # nlink 2
e8 03 00 00  64 00 00 00                # uid 1000, gid 100
03 01 00 00                             # rdev
00 10 00 00  00 00 00 00                # blksize 4096, flags
`;

export const rename2_request = `
3e 00 00 00  2d 00 00 00                # len 62, FUSE_RENAME2
06 00 00 00 00 00 00 80                 # unique 6, resent (bit 63)
01 00 00 00 00 00 00 00                 # nodeid 1: the old directory
00 00 00 00  00 00 00 00  07 00 00 00   # uid, gid, pid 7
00 00  00 00                            # total_extlen, padding
09 00 00 00 00 00 00 00                 # newdir 9
01 00 00 00  00 00 00 00                # RENAME_NOREPLACE, padding
"old" 00 fc 00                          # both names, the second one not UTF-8
`;

export const setxattr_request = `
40 00 00 00  15 00 00 00                # len 64, FUSE_SETXATTR
08 00 00 00 00 00 00 00                 # unique 8
02 00 00 00 00 00 00 00                 # nodeid 2
00 00 00 00  00 00 00 00  07 00 00 00   # uid, gid, pid 7
00 00  00 00                            # total_extlen, padding
09 00 00 00  01 00 00 00                # size 9, XATTR_CREATE; 8 bytes as long as SETXATTR_EXT is not agreed
"user.a" 00                             # name
"val" 00 "value"                        # value, a NUL in it
`;

export const write_request = `
54 00 00 00  10 00 00 00                # len 84, FUSE_WRITE
0a 00 00 00 00 00 00 00                 # unique 10
02 00 00 00 00 00 00 00                 # nodeid 2
00 00 00 00  00 00 00 00  07 00 00 00   # uid, gid, pid 7
00 00  00 00                            # total_extlen, padding
04 00 00 00 00 00 00 00                 # fh 4
00 10 00 00 00 00 00 00                 # offset 4096
04 00 00 00  04 00 00 00                # size 4, FUSE_WRITE_KILL_SUIDGID
00 00 00 00 00 00 00 00                 # lock_owner
01 80 00 00  00 00 00 00                # flags O_WRONLY, padding
"data"
`;

export const readdir_reply = `
58 00 00 00  00 00 00 00                # len 88, no error
0c 00 00 00 00 00 00 00                 # unique 12
01 00 00 00 00 00 00 00                 # ino 1
01 00 00 00 00 00 00 00                 # off: go on after "."
01 00 00 00  04 00 00 00                # namelen 1, DT_DIR
"." 00 00 00 00 00 00 00                # padded to 8
02 00 00 00 00 00 00 00                 # ino 2
ff ff ff ff ff ff 0f 00                 # off 2^52 - 1
09 00 00 00  08 00 00 00                # namelen 9, DT_REG
"ninechars" 00 00 00 00 00 00 00        # padded to 16
`;
