import { WriteRing } from "#src/dataplane/ring";
import { CommitRing, makeSession, RingEntry, ringSlots, sessionLayout } from "#src/dataplane/session";

/** What native/dataplane/commit_ring.cc does. */
function push(session: ReturnType<typeof makeSession>, page: number): void {
  const positions = new Uint32Array(session.buffer, sessionLayout.ring, 2);
  const at = sessionLayout.ring + CommitRing.offsets.entries + (positions[0]! % ringSlots) * RingEntry.size;
  RingEntry.encodeInto(Buffer.from(session.buffer), at, {
    ino: 7n, device_page: BigInt(page + 1000), end: BigInt((page + 1) * 4096), time_ns: 5n, file_page: page, count: 1,
  });
  positions[0]! += 1;
}

test("WriteRing: entries come in order and stay until they are dropped", () => {
  const session = makeSession();
  const ring = new WriteRing(session);
  expect([ring.pending, ring.peek(10)]).toEqual([0, []]);
  for (let page = 0; page < 5; page += 1) push(session, page);
  expect(ring.peek(2)).toEqual([0, 1].map((page) => (
    { ino: 7, filePage: page, devicePage: page + 1000, count: 1, end: (page + 1) * 4096, timeNs: 5n }
  )));
  ring.drop(2);
  expect(new WriteRing(session).peek(10).map(({ filePage }) => filePage)).toEqual([2, 3, 4]);
});

test("WriteRing: positions wrap at 2^32", () => {
  const session = makeSession();
  const positions = new Uint32Array(session.buffer, sessionLayout.ring, 2);
  positions.fill(2 ** 32 - 3);
  const ring = new WriteRing(session);
  for (let page = 0; page < 6; page += 1) push(session, page);
  expect([ring.pending, ring.peek(10).map(({ filePage }) => filePage)]).toEqual([6, [0, 1, 2, 3, 4, 5]]);
  ring.drop(6);
  expect([ring.pending, positions[1]]).toEqual([0, 3]);
});
