// A small volume in memory whose slow calls are points of the scheduler.

import { bytesOfPages } from "#src/base/units";
import { MemoryBlockDevice, type MemoryDeviceOptions } from "../support/memory-device";
import { smallDevice } from "../volume/small";
import type { Scheduler } from "./scheduler";

export class SimulatedDevice extends MemoryBlockDevice {
  scheduler: Scheduler | undefined;
  guard: (page: number) => void = () => undefined;
  discardAsync?: (page: number, count: number) => Promise<void>;

  override async flushAsync(): Promise<void> {
    await this.scheduler?.point("flush");
    this.flush();
  }

  override async zeroPages(page: number, count: number): Promise<void> {
    for (let n = page; n < page + count; n += 1) {
      await this.scheduler?.point(`zero page ${n}`);
      this.guard(n);
      this.write(bytesOfPages(n), Buffer.alloc(bytesOfPages(1)));
    }
  }
}

const made = new Map<number, MemoryBlockDevice>();

/** An empty volume; whether its device discards by itself is the seed's. */
export function simulatedDevice(scheduler: Scheduler, dataPages: number): SimulatedDevice {
  let formatted = made.get(dataPages);
  if (formatted === undefined) made.set(dataPages, (formatted = smallDevice({}, dataPages)));
  const device = formatted.clone({}, SimulatedDevice as new (bytes: number, options: MemoryDeviceOptions) => SimulatedDevice);
  device.scheduler = scheduler;
  if (scheduler.random.chance(0.5)) {
    device.discardAsync = async (page, count) => {
      await scheduler.point(`discard ${page}+${count}`);
      device.discard(page, count);
    };
  }
  return device;
}
