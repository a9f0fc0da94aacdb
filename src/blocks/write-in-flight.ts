// What a request that knows where its data lies is known by, from its question to its end.

import { pageSize, pagesFor } from "../base/units";
import type { AskedRange } from "../dataplane/port";
import type { DeviceRun } from "../volume/blockdevice";
import type { Extent } from "../volume/changes";

export interface WriteInFlight {
  readonly range: AskedRange;
  readonly firstPage: number;
  readonly endPage: number;
  /** the pages that a commit changes, as it leaves them; empty when the write stays in written ones */
  readonly written: readonly Extent[];
  readonly reserved: readonly DeviceRun[];
  /** pages of it were shared, or are said to be: all of it is written anew */
  readonly wasShared: boolean;
}

export function writeInFlightOf(range: AskedRange): WriteInFlight {
  const firstPage = Math.floor(range.offset / pageSize);
  const endPage = Math.max(firstPage, pagesFor(range.offset + range.length));
  return { range, firstPage, endPage, written: [], reserved: [], wasShared: false };
}
