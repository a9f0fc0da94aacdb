// Cookies: the order of a directory that survives changes and restarts.

import { cookieOf, Listings } from "#src/namespace/listing";
import type { Directory } from "#src/namespace/attributes";

function directory(names: Iterable<string>, ino = 1): Directory & { entries: Map<string, { ino: number; type: number }> } {
  return { ino, entries: new Map([...names].map((name) => [name, { ino: 2, type: 8 }])) } as never;
}

const names = Array.from({ length: 500 }, (_, n) => `file-${n}`);

test("cookieOf: fixed for ever, since a restarted control plane goes on with it", () => {
  expect(["a", "b", "swapfile", "\u00ff", "x".repeat(255)].map(cookieOf)).toEqual(
    [3802794553291190, 771481399484981, 2516654288254018, 19605330558496, 2970970976840877],
  );
});

test("cookieOf: between 3 and 2^52 + 2, and distinct for 100,000 names", () => {
  const cookies = Array.from({ length: 100_000 }, (_, n) => cookieOf(`f${n}`));
  expect(new Set(cookies).size).toBe(cookies.length);
  expect(cookies.filter((cookie) => !(cookie >= 3 && cookie <= 2 ** 52 + 2 && Number.isSafeInteger(cookie)))).toEqual([]);
});

test("after: every name once, by ascending cookie", () => {
  const listed = [...new Listings().after(directory(names), 2)];
  expect(listed.map(({ cookie }) => cookie)).toEqual(listed.map(({ cookie }) => cookie).sort((a, b) => a - b));
  expect(listed.map(({ name }) => name).sort()).toEqual([...names].sort());
});

test("after: a name that stays is listed exactly once, whatever comes and goes between two readings", () => {
  const listings = new Listings();
  const dir = directory(names);
  const seen: string[] = [];
  let cookie = 2;
  for (let round = 0; ; round += 1) {
    const page = [];
    for (const listed of listings.after(dir, cookie)) {
      page.push(listed);
      if (page.length === 10) break;
    }
    if (page.length === 0) break;
    cookie = page.at(-1)!.cookie;
    seen.push(...page.map(({ name }) => name));
    dir.entries.set(`new-${round}`, { ino: 3, type: 8 });
    listings.added(1, `new-${round}`);
    dir.entries.delete(`file-${round}`);
  }
  expect(names.slice(60).filter((name) => !seen.includes(name))).toEqual([]);
  expect(new Set(seen).size).toBe(seen.length);
});

test("after: another process with the same entries goes on at the same place", () => {
  const first = [...new Listings().after(directory(names), 2)];
  const middle = first[250]!.cookie;
  const rest = [...new Listings().after(directory([...names].reverse()), middle)];
  expect(rest).toEqual(first.slice(251));
});

test("after: a name removed and made again is listed once", () => {
  const listings = new Listings();
  const dir = directory(["a", "b"]);
  expect([...listings.after(dir, 2)].length).toBe(2);
  listings.added(1, "a");
  listings.added(1, "a");
  expect([...listings.after(dir, 2)].map(({ name }) => name).sort()).toEqual(["a", "b"]);
});
