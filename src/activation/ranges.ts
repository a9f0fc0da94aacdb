// Runs of pages, collected in order.

import type { PageRange } from "./verdict";

/** Adds a run that begins at or behind the start of the last one, joined with it where they touch or overlap. */
export function addRange(ranges: PageRange[], range: PageRange): void {
  const last = ranges.at(-1);
  if (last === undefined || last.page + last.count < range.page) {
    ranges.push(range);
    return;
  }
  const end = Math.max(last.page + last.count, range.page + range.count);
  ranges[ranges.length - 1] = { page: last.page, count: end - last.page };
}
