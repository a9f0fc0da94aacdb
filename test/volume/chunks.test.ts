// SortedChunks against a sorted array.

import { SortedChunks } from "#src/volume/chunks";
import { forSeeds } from "./random";

test("SortedChunks: random replaces, lookups and searches by weight", () => {
  forSeeds(10, (random) => {
    const list = new SortedChunks<number>((item) => item, (item) => item % 97);
    let naive: number[] = [];
    for (let n = 0; n < 60; n += 1) {
      const from = random.below(20_000);
      const to = from + 1 + random.below(random.chance(0.1) ? 10_000 : 300);
      const step = 1 + random.below(5);
      const items: number[] = [];
      if (random.chance(0.8)) for (let key = from; key < to; key += step) items.push(key);
      list.replace(from, to, items);
      naive = [...naive.filter((key) => key < from), ...items, ...naive.filter((key) => key >= to)];
      expect(list.size).toBe(naive.length);
      for (let k = 0; k < 8; k += 1) {
        const key = random.below(31_000);
        expect(list.floor(key)).toBe(naive.findLast((item) => item <= key));
        expect(list.from(key).next().value).toBe(naive.find((item) => item >= key));
        const weight = random.below(97);
        expect(list.findHeavy(weight, key)).toBe(naive.find((item) => item >= key && item % 97 >= weight));
      }
      expect(list.heaviest()).toBe(Math.max(0, ...naive.map((item) => item % 97)));
      expect(list.last).toBe(naive.at(-1));
    }
    expect([...list]).toEqual(naive);
  });
});
