// Linux errno values (include/uapi/asm-generic/errno-base.h and errno.h), positive.

export const errno = {
  EPERM: 1, ENOENT: 2, EINTR: 4, EIO: 5, ENXIO: 6, E2BIG: 7, EBADF: 9, EAGAIN: 11, ENOMEM: 12, EACCES: 13, EBUSY: 16,
  EEXIST: 17, EXDEV: 18, ENODEV: 19, ENOTDIR: 20, EISDIR: 21, EINVAL: 22, ENFILE: 23, ENOTTY: 25, ETXTBSY: 26,
  EFBIG: 27, ENOSPC: 28, EROFS: 30, EMLINK: 31, ERANGE: 34, ENAMETOOLONG: 36, ENOSYS: 38, ENOTEMPTY: 39, ENODATA: 61,
  EPROTO: 71, EOPNOTSUPP: 95, ESTALE: 116,
} as const;

export type ErrnoName = keyof typeof errno;

const names = new Map<number, ErrnoName>(Object.entries(errno).map(([name, code]) => [code, name as ErrnoName]));

/** "ENOSPC" for 28; "errno 999" for a number that this table does not hold. */
export function errnoName(code: number): string {
  return names.get(code) ?? `errno ${code}`;
}
