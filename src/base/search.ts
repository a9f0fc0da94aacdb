// Searching what is sorted.

/** The first of `count` indexes for which `holds` is true, as it is then for all behind it; `count` when it is for none. */
export function firstIndex(count: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
