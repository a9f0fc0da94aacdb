// The part of the package fuse-native 2.2.6 that is used here, its handlers included: some are replaced (binding.ts).

declare module "fuse-native" {
  type Signal = (result: number, ...values: unknown[]) => void;

  class Fuse {
    constructor(mountpoint: string, operations: object, options: { timeout: false });
    readonly ops: Record<string, (...args: any[]) => void>;
    mount(done: (error: Error | null) => void): void;
    _fuseOptions(): string;
    _op_getattr(signal: Signal, path: string): void;
    _op_getxattr(signal: Signal, path: string, name: string, value: Buffer, position: number): void;
    _op_listxattr(signal: Signal, path: string, list: Buffer): void;
    _op_fgetattr(signal: Signal, path: string, fd: number): void;
  }

  export = Fuse;
}
