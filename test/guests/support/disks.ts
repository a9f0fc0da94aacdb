// A guest's virtio disks: sparse files in a folder of their own.

import { promises as fs } from "node:fs";
import os from "node:os";
import path from "node:path";

export interface DisksWanted {
  readonly disks?: readonly number[];
  readonly loggedDisk?: number;
}

export class Disks {
  readonly dir: string;
  readonly qemuArguments: string[] = [];
  /** The log of the logged disk. */
  readonly log: string;

  private constructor(dir: string) {
    this.dir = dir;
    this.log = path.join(dir, "log");
  }

  static async make(wanted: DisksWanted): Promise<Disks> {
    const made = new Disks(await fs.mkdtemp(path.join(os.tmpdir(), "swapfs-guest-disks-")));
    for (const [index, bytes] of (wanted.disks ?? []).entries()) {
      made.qemuArguments.push("-drive", `file=${await made.#file(`disk${index}`, bytes)},if=virtio,format=raw,cache=unsafe,discard=unmap`);
    }
    if (wanted.loggedDisk !== undefined) {
      const disk = await made.#file("logged", wanted.loggedDisk);
      await made.#file("log", 0);
      made.qemuArguments.push(
        "-blockdev", `driver=file,node-name=disk,filename=${disk}`, "-blockdev", `driver=file,node-name=log,filename=${made.log}`,
        "-blockdev", "driver=blklogwrites,node-name=logged,file=disk,log=log", "-device", "virtio-blk-pci,drive=logged");
    }
    return made;
  }

  remove(): Promise<void> {
    return fs.rm(this.dir, { recursive: true, force: true });
  }

  async #file(name: string, bytes: number): Promise<string> {
    const file = path.join(this.dir, name);
    await fs.writeFile(file, "");
    await fs.truncate(file, bytes);
    return file;
  }
}
