// A guest's virtio disks: sparse files in a folder of their own.

import { promises as fs } from "node:fs";
import os from "node:os";
import path from "node:path";

import { makeDebianRoot } from "./debian";

export interface DisksWanted {
  readonly disks?: readonly number[];
  readonly loggedDisk?: number;
  /** A last disk with a root of Debian's, whose service runs this. */
  readonly debianSteps?: string;
  readonly addToRoot?: (root: string) => Promise<void>;
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
    for (const [index, bytes] of (wanted.disks ?? []).entries()) made.#use(await made.#file(`disk${index}`, bytes));
    if (wanted.debianSteps !== undefined) {
      await makeDebianRoot(path.join(made.dir, "root"), wanted.debianSteps, wanted.addToRoot);
      made.#use(path.join(made.dir, "root"));
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

  /** What the guest has as /dev/vda, /dev/vdb, ... */
  fileOf(disk: number): string {
    return path.join(this.dir, `disk${disk}`);
  }

  remove(): Promise<void> {
    return fs.rm(this.dir, { recursive: true, force: true });
  }

  #use(file: string): void {
    this.qemuArguments.push("-drive", `file=${file},if=virtio,format=raw,cache=unsafe,discard=unmap`);
  }

  async #file(name: string, bytes: number): Promise<string> {
    const file = path.join(this.dir, name);
    await fs.writeFile(file, "");
    await fs.truncate(file, bytes);
    return file;
  }
}
