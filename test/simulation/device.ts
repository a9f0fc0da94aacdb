// A small volume in memory whose slow calls are points of the scheduler.

import { bytesOfPages } from "#src/base/units";
import { MemoryBlockDevice, type MemoryDeviceOptions } from "../support/memory-device";
import { smallDevice } from "../volume/small";
import type { Scheduler } from "./scheduler";

export class SimulatedDevice extends MemoryBlockDevice {
  scheduler: Scheduler | undefined;
  guard: (page: number) => void = () => undefined;
  zeroPages?: (page: number, count: number) => Promise<void>;
  discardAsync?: (page: number, count: number) => Promise<void>;

  override async flushAsync(): Promise<void> {
    await this.scheduler?.point("flush");
    this.flush();
  }
}

const made = new Map<number, MemoryBlockDevice>();

/** An empty volume; whether its device zeroes and discards by itself is the seed's. */
export function simulatedDevice(scheduler: Scheduler, dataPages: number): SimulatedDevice {
  let formatted = made.get(dataPages);
  if (formatted === undefined) made.set(dataPages, (formatted = smallDevice({}, dataPages)));
  const device = formatted.clone({}, SimulatedDevice as new (bytes: number, options: MemoryDeviceOptions) => SimulatedDevice);
  device.scheduler = scheduler;
  if (scheduler.random.chance(0.5)) {
    device.zeroPages = async (page, count) => {
      for (let n = 0; n < count; n += 1) {
        await scheduler.point(`zero page ${page + n}`);
        device.guard(page + n);
        device.write(bytesOfPages(page + n), Buffer.alloc(bytesOfPages(1)));
      }
    };
  }
  if (scheduler.random.chance(0.5)) {
    device.discardAsync = async (page, count) => {
      await scheduler.point(`discard ${page}+${count}`);
      device.discard(page, count);
    };
  }
  return device;
}
