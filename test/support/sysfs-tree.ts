// A tree like /sys, of block devices that lie on each other, and an empty file that may lie below a loop device.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

export class SysfsTree {
  readonly root = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-sysfs-"));
  readonly sysfs = path.join(this.root, "sys");
  readonly image = path.join(this.root, "disk.img");

  constructor() {
    fs.writeFileSync(this.image, "");
    for (const folder of ["dev/block", "block"]) fs.mkdirSync(path.join(this.sysfs, folder), { recursive: true });
  }

  /** A device of 1000 sectors with its files; a partition lies in the folder of its disk. `below`: what it is made of, by name. */
  device(number: string, name: string, files: Record<string, string | number> = {}, below: readonly string[] = []): void {
    const folder = path.join(this.sysfs, "devices", name);
    for (const [file, text] of Object.entries({ dev: number, size: 1000, "queue/discard_max_bytes": 4096, ...files })) {
      fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
      fs.writeFileSync(path.join(folder, file), `${text}\n`);
    }
    fs.symlinkSync(folder, path.join(this.sysfs, "dev/block", number));
    if (!name.includes("/")) fs.symlinkSync(folder, path.join(this.sysfs, "block", name));
    for (const member of below) this.slave(name, member);
  }

  slave(mapper: string, name: string): void {
    const [over, below] = [mapper, name].map((one) => path.join(this.sysfs, "devices", one)) as [string, string];
    for (const [folder, to] of [[path.join(over, "slaves"), below], [path.join(below, "holders"), over]] as const) {
      fs.mkdirSync(folder, { recursive: true });
      fs.symlinkSync(to, path.join(folder, path.basename(to)));
    }
  }

  remove(): void {
    fs.rmSync(this.root, { recursive: true });
  }
}
