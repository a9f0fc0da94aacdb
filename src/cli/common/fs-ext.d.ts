// The part of fs-ext that is used; the package has no types of its own.

declare module "fs-ext" {
  export function flockSync(fd: number, flags: "exnb" | "shnb" | "un"): void;
}
