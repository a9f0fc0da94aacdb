// The part of fs-ext that is used; the package has no types of its own.

declare module "fs-ext" {
  export function flockSync(fd: number, flags: "sh" | "ex" | "shnb" | "exnb" | "un"): void;
  export function flock(fd: number, flags: "sh" | "ex" | "shnb" | "exnb" | "un", callback: (error: Error | null) => void): void;
  export function seekSync(fd: number, offset: number, whence: number): number;
}
