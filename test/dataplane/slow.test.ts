// What is slow holds back nobody else: a request that still uses a map, pages that the kernel is asked to drop.

import { messageType as type } from "#src/dataplane/messages";
import { extent, file, makePlane, message, result, startedPlane, tagOf } from "./fakes";

const page = 4096;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a reply waits until no request can meet the revoked map, not until the last one that does is over", async () => {
  const plane = startedPlane();
  const written: string[] = [];
  const reply = (name: string) => ({ make: () => Buffer.from(name), written: () => void written.push(name) });
  plane.inodes.set(5, file([extent(0, 10, 4)], 4 * page));
  plane.port.installCached(5);
  plane.socket.deliver(result(type.kInstalled, tagOf(plane.socket.take()[0]!)));
  let over = false;
  void plane.port.revoke(5).then(() => (over = true));
  const [revoke] = plane.socket.take();
  plane.replies.send(reply("other"));
  expect(written).toEqual([]);
  plane.socket.deliver(message(type.kForgotten, tagOf(revoke!)));
  await turn();
  expect([written, over, plane.port.inUse(5)]).toEqual([["other"], false, true]);
  plane.socket.deliver(message(type.kRevoked, tagOf(revoke!)));
  await turn();
  expect([over, plane.port.inUse(5)]).toEqual([true, false]);
});

test("two invalidations of pages at a time, in order; those of attributes go past them", async () => {
  const ends: (() => void)[] = [];
  const told: string[] = [];
  const plane = makePlane(undefined, (raw) => {
    const pages = raw.readBigInt64LE(24) >= 0n;
    told.push(`${pages ? "pages" : "attributes"} ${raw.readBigUInt64LE(16)}`);
    return pages ? new Promise((end) => ends.push(end)) : Promise.resolve();
  });
  const all = [2, 3, 4, 5].map((ino) => plane.port.invalidate(ino));
  await plane.port.invalidateAttributes(4);
  expect(told).toEqual(["pages 2", "pages 3", "attributes 4"]);
  ends[1]!();
  await all[1];
  await turn();
  expect(told.slice(3)).toEqual(["pages 4"]);
  for (const end of ends) end();
  await turn();
  ends.at(-1)!();
  await Promise.all(all);
  expect(told.slice(3)).toEqual(["pages 4", "pages 5"]);
});
