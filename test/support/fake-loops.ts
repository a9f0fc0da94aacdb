// The kernel's loop devices as BlockViews sees them: each is there as long as somebody holds it, whatever becomes of who attached it.

import type { Attached, ViewDevices } from "#src/engine/native/blockviews";
import type { DeviceRun } from "#src/volume/blockdevice";
import type { LeasedPart, PartView } from "#src/sys/loopviews";

interface FakeLoop {
  readonly device: string;
  readonly part: LeasedPart;
  readonly blocks: readonly DeviceRun[];
  holders: number;
}

export class FakeLoops implements ViewDevices {
  attached: FakeLoop[] = [];
  /** the next attach fails */
  failure: Error | undefined;
  /** called when a device has come or gone */
  changed: () => void = () => undefined;
  #next = 0;

  find(parts: readonly LeasedPart[]): PartView[] {
    return parts.map(({ offset, length, span }) => {
      const found = this.attached.find(({ part }) => part.offset === offset && part.length === length);
      return { device: span && this.bare ? undefined : found?.device, lives: found !== undefined };
    });
  }

  /** of the kernel; 1: it has no device mapper */
  runs = 1;
  /** the devices over loop devices have gone, but not those */
  bare = false;
  /** what was asked to go */
  letGoOf: number[] = [];

  runsMax(): number {
    return this.runs;
  }

  letGo(ino: number): void {
    this.letGoOf.push(ino);
  }

  attach(part: LeasedPart, blocks: readonly DeviceRun[]): Attached & { fd: number } {
    if (this.failure) throw this.failure;
    const fd = (this.#next += 1);
    this.attached.push({ device: `/dev/loop${fd}`, part, blocks, holders: 1 });
    this.changed();
    return { fd, device: `/dev/loop${fd}`, name: this.nameOf(part.ino) };
  }

  close({ fd }: { fd: number }): void {
    this.hold(`/dev/loop${fd}`, -1);
  }

  /** A swap area on it: 1 and -1. */
  hold(device: string, more: 1 | -1): void {
    const found = this.attached.find((loop) => loop.device === device)!;
    found.holders += more;
    if (found.holders > 0) return;
    this.attached = this.attached.filter((loop) => loop !== found);
    this.changed();
  }

  nameOf(ino: number): string {
    return `view-${ino}`;
  }
}
