// Offsets and lengths that no file can have, up to the last that the kernel passes on: an errno each, as on ext4, and never
// a request without an answer.

import path from "node:path";

import { mountSwapfs } from "../support/mounted";
import { withCleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { must, swapfs } from "../support/mounted-run";

/** Prints a line for each offset: fallocate, KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, ftruncate, pwrite, O_DIRECT pread, SEEK_DATA, copy_file_range. */
const script = `
import ctypes, errno, mmap, os, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
direct = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
page = mmap.mmap(-1, 4096)
os.pwrite(fd, bytes(4096), 0)
def fallocate(mode, offset):
    return errno.errorcode[ctypes.get_errno()] if libc.fallocate64(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(1)) else 0
def tried(call):
    try: return call()
    except OSError as error: return errno.errorcode[error.errno]
for bits in sys.argv[2:]:
    offset = eval(bits)
    print(*[fallocate(mode, offset) for mode in (0, 1, 3, 16)], tried(lambda: os.ftruncate(fd, offset)),
        tried(lambda: os.pwrite(fd, b"x", offset)), tried(lambda: os.preadv(direct, [page], offset & ~4095)),
        tried(lambda: os.lseek(fd, offset, os.SEEK_DATA)), tried(lambda: os.copy_file_range(fd, fd, 4096, 0, offset & ~4095)), flush=True)
`;

const offsets = ["2**44", "2**52", "2**53 - 1", "2**53", "2**53 + 4096", "2**54 - 2", "2**62", "2**63 - 4097"];

test.each(["ordinary", "activated"])("an errno each: %s", (kind) =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const mnt = path.join(dir, "mnt");
    await mountSwapfs(cleanup, path.join(dir, "disk.img"), mnt, { args: ["--size", "64M"] });
    const file = path.join(mnt, "a");
    const activated = kind === "activated";
    if (activated) {
      expect(await swapfs(["create", file, "--size", "4M"])).toMatchObject({ status: 0 });
      expect(await swapfs(["activate", file])).toMatchObject({ status: 0 });
    }
    const lines = (await must("python3", ["-c", script, file, ...offsets], { timeoutMs: 20_000 })).trim().split("\n");
    const line = `EFBIG EFBIG EFBIG EFBIG EFBIG ${activated ? "EINVAL" : "EFBIG"} 0 ENXIO ${activated ? "ETXTBSY" : "EFBIG"}`;
    expect(lines).toEqual(offsets.map(() => line));
    expect(await swapfs(["fsck", mnt])).toMatchObject({ status: 0 });
  }));
