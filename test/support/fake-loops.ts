// The kernel's loop devices as BlockViews sees them: each is there as long as somebody holds it, whatever becomes of who attached it.

import type { LoopDevices } from "#src/engine/native/blockviews";
import type { AttachedLoop } from "#src/sys/addon";
import type { LeasedPart, PartView } from "#src/sys/loopviews";

interface FakeLoop {
  readonly device: string;
  readonly part: LeasedPart;
  holders: number;
}

export class FakeLoops implements LoopDevices {
  attached: FakeLoop[] = [];
  /** the next attach fails */
  failure: Error | undefined;
  /** called when a device has come or gone */
  changed: () => void = () => undefined;
  #next = 0;

  find(parts: readonly LeasedPart[]): PartView[] {
    return parts.map(({ offset, length }) => {
      const found = this.attached.find(({ part }) => part.offset === offset && part.length === length);
      return { device: found?.device, lives: found !== undefined };
    });
  }

  attach(_ino: number, part: LeasedPart): AttachedLoop {
    if (this.failure) throw this.failure;
    const fd = (this.#next += 1);
    this.attached.push({ device: `/dev/loop${fd}`, part, holders: 1 });
    this.changed();
    return { fd, device: `/dev/loop${fd}`, direct: true, blockSize: 4096 };
  }

  close({ device }: Pick<AttachedLoop, "device">): void {
    this.hold(device, -1);
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
