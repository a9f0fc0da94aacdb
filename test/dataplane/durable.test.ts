// O_DSYNC writes that are left to us: the ask says so, and the answer waits for the flush.

import { FsError } from "#src/base/errors";
import { SharedHandleTable } from "#src/dataplane/handletable";
import { askFlags, mapFlags, messageType as type } from "#src/dataplane/messages";
import { ask, commit, extent, file, installOf, startedPlane, typeOf } from "./fakes";

const page = 4096;

test("a write that cannot be made durable has failed", async () => {
  const plane = startedPlane();
  plane.inodes.set(5, file([extent(0, 10, 4)], 4 * page));
  const asked = jest.spyOn(plane.mapping, "ask");
  plane.socket.deliver(ask(1n, 5, 0, page, askFlags.write | askFlags.sync));
  expect(asked.mock.calls[0]![0]).toMatchObject({ write: true, sync: true });
  plane.socket.take();
  plane.mapping.commitWrite = () => Promise.reject(new FsError("EIO", "the flush fails, as the test wants it"));
  plane.socket.deliver(commit(1n, 5));
  await new Promise((resolve) => setImmediate(resolve));
  expect(plane.socket.take().filter((sent) => typeOf(sent) === type.kCommitted).map((sent) => sent.readInt32LE(16))).toEqual([-5]);
});

test("a file with a direct handle gets no plain map: the data plane asks for every write", () => {
  const plane = startedPlane();
  plane.inodes.set(5, file([extent(0, 10, 4)], 4 * page));
  plane.handles.open({ fh: 1n, ino: 5, flags: 2, pid: 1, direct: true });
  plane.socket.deliver(ask(1n, 5, 0, page));
  expect(installOf(plane.socket.take()[1]!).flags & mapFlags.plain).toBe(0);
  expect(new SharedHandleTable(plane.session).of(5)).toEqual([{ fh: 1n, ino: 5, flags: 2, pid: 1, direct: true }]);
});
