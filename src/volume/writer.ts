// Every write of metadata to the device. After the first failure nothing more is written: what is on the device is no longer
// known.

import { FsError, messageOf } from "../base/errors";
import { logLine } from "../base/log";
import { perform, type BlockDevice, type Step } from "./blockdevice";

export class Writer {
  readOnly: boolean;
  /** Why nothing is written any more; undefined: nothing has failed. */
  failure: FsError | undefined;
  readonly #device: BlockDevice;
  readonly #warnings: string[];
  #closed = false;

  /** `warnings`: what a person is told of the volume, to which a failure is added. */
  constructor(device: BlockDevice, readOnly: boolean, warnings: string[]) {
    this.#device = device;
    this.#warnings = warnings;
    this.readOnly = readOnly;
  }

  /** Throws FsError EIO; `verb` says what for. */
  perform(verb: string, steps: Iterable<Step>): void {
    try {
      perform(this.#device, steps);
    } catch (error) {
      throw this.#fail(verb, error);
    }
  }

  flush(): void {
    this.perform("flush", [{ kind: "flush" }]);
  }

  /** Rejects with FsError EIO, unless the device was closed meanwhile. */
  async flushAsync(): Promise<void> {
    try {
      await this.#device.flushAsync();
    } catch (error) {
      if (!this.#closed) throw this.#fail("flush", error);
    }
  }

  mustBeWritable(verb: string): void {
    if (this.readOnly) throw new FsError("EROFS", `cannot ${verb} on ${this.#device.name}: the volume is read-only`);
  }

  close(): void {
    this.readOnly = true;
    this.#closed = true;
    this.#device.close();
  }

  #fail(verb: string, error: unknown): FsError {
    if (!this.readOnly) {
      const warning = `the device failed: cannot ${verb} on ${this.#device.name}: ${messageOf(error)}; the volume is read-only now`
        + ": when the device works again, swapoff, umount, and mount it again";
      logLine(warning);
      this.#warnings.push(warning);
    }
    this.readOnly = true;
    return (this.failure ??= new FsError("EIO", `cannot ${verb} on ${this.#device.name}: ${messageOf(error)}`));
  }
}
