// A journal record that was durable is damaged: what is lost with it, as far as the whole records behind it tell. They cannot be
// applied, since each follows from the state before it.

import type { Time } from "./changes";
import type { Beyond, JournalCursor } from "./journal";
import { RunSet } from "./runs";
import { rootIno, type VolumeState } from "./state";
import type { Undurable } from "./undurable";

interface Read {
  readonly state: VolumeState;
  readonly cursor: JournalCursor;
  readonly beyond: Beyond;
}

/** One line for what is lost as a whole, one for each inode that the records name. None: nothing that was durable is lost. */
export function lossOf({ beyond, cursor, state }: Read): string[] {
  if (!beyond.lostDurable) return [];
  const touched = new Set<number>();
  const names: Names = new Map();
  let [since, until]: (Time | undefined)[] = [];
  for (const { ino, ctime, entries } of state.inodes.values()) {
    since = later(since, ctime);
    for (const [name, entry] of entries ?? []) names.set(entry.ino, { parent: ino, name });
  }
  for (const item of beyond.found.flatMap(({ items }) => items)) {
    if (item.kind === "put-inode") until = later(until, item.attributes.ctime);
    if (item.kind === "put-entry") names.set(item.ino, item);
    if ("parent" in item && item.kind !== "put-inode") touched.add(item.parent);
    if ("ino" in item) touched.add(item.ino);
  }
  const first = cursor.sequence + 1;
  const unreadable = Math.max(...beyond.found.map(({ sequence }) => sequence)) - cursor.sequence - beyond.found.length;
  const files = [...touched].sort((a, b) => a - b).map((ino) => `lost: what changed in ${pathOf(names, ino)} (inode ${ino}${state.inodes.has(ino) ? "" : ", new"})`);
  return [
    `journal record ${first} is damaged, ${beyond.found.length} later records are lost: every change from ${dateOf(since)} to ${dateOf(until)}`
    + ` of the files named here, and what ${unreadable} unreadable records changed, perhaps of others`,
    ...files,
  ];
}

/**
 * A whole record says that one behind those which were replayed was durable, and so are all of these, with their data, whatever
 * boot wrote them. But blocks that the lost records gave to somebody: a file that had them before would show what another one wrote there since.
 * Those that a file alone had already, at the same place, are still its own.
 */
export function givenSince(state: VolumeState, beyond: Beyond): Undurable {
  const pages = new RunSet();
  const add = (page: number, count: number): void => {
    for (const run of pages.without(page, count)) pages.add(run.page, run.count);
  };
  for (const item of beyond.found.flatMap(({ items }) => items)) {
    if (item.kind !== "set-extents") continue;
    for (const given of item.extents) {
      if (given.state === "shared") continue; // of somebody who had them, and keeps them
      const own = new RunSet();
      for (const had of state.inodes.get(item.ino)?.extents.range(given.filePage, given.count) ?? []) {
        const same = had.state !== "shared" && had.devicePage - had.filePage === given.devicePage - given.filePage;
        if (same) own.add(had.devicePage, had.count);
      }
      for (const run of own.without(given.devicePage, given.count)) add(run.page, run.count);
    }
  }
  return { pages, before: new Map() };
}

type Names = Map<number, { readonly parent: number; readonly name: string }>;

function pathOf(names: Names, ino: number): string {
  const path: string[] = [];
  for (let at = ino; at !== rootIno; ) {
    const found = names.get(at);
    if (found === undefined || path.length > names.size) return "a file without a known name";
    path.unshift(shown(found.name));
    at = found.parent;
  }
  return `/${path.join("/")}`;
}

/** Names are the raw bytes as latin1. */
function shown(name: string): string {
  return JSON.stringify(Buffer.from(name, "latin1").toString()).slice(1, -1);
}

function later(a: Time | undefined, b: Time): Time {
  return a === undefined || b.seconds > a.seconds || (b.seconds === a.seconds && b.nanoseconds > a.nanoseconds) ? b : a;
}

/** Whatever a damaged or hostile volume says: not every number of seconds is a date. */
function dateOf(time: Time | undefined): string {
  const date = new Date((time?.seconds ?? NaN) * 1000);
  return Number.isNaN(date.getTime()) ? "an unknown time" : date.toISOString();
}
