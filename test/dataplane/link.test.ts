import { SharedHandleTable } from "#src/dataplane/handletable";
import { askFlags, CopyMessage, mapFlags, messageType } from "#src/dataplane/messages";
import {
  ask, commit, extent, file, installOf, makePlane, message, result, startedPlane, tagOf, typeOf,
} from "./fakes";

const type = messageType;
const page = 4096;

async function settled(promise: Promise<void>): Promise<boolean> {
  let done = false;
  void promise.then(() => (done = true));
  await new Promise((resolve) => setImmediate(resolve));
  return done;
}

describe("start", () => {
  test("says hello and ignores everything until kDataReady", () => {
    const plane = makePlane();
    plane.link.start();
    expect(plane.socket.takeTypes()).toEqual([type.kControlHello]);
    plane.socket.deliver(message(type.kRequest), ask(1n, 5, 0, page));
    expect(plane.seen.requests).toEqual([]);
    plane.socket.deliver(message(type.kDataReady));
    expect(plane.seen.ready).toBe(1);
    plane.socket.deliver(message(type.kRequest));
    expect(plane.seen.requests.length).toBe(1);
  });

  test("sends pinned maps again and revokes what was pinned, before anything else", () => {
    const plane = makePlane();
    plane.inodes.set(5, file([extent(0, 10, 4)], 4 * page));
    const before = new SharedHandleTable(plane.session);
    before.open({ fh: 1n, ino: 5, flags: 2, pid: 1 });
    before.setSwapon(1n);
    before.open({ fh: 2n, ino: 6, flags: 2, pid: 1 });
    before.setSwapon(2n);
    before.close(2n);
    // the control plane that pinned them dies here
    const next = makePlane(plane);
    next.link.start();
    next.socket.take();
    next.socket.deliver(message(type.kDataReady));
    const [revoke, install] = next.socket.take();
    expect([typeOf(revoke!), typeOf(install!)]).toEqual([type.kRevoke, type.kInstall]);
    expect(installOf(install!).flags & mapFlags.pinned).toBe(mapFlags.pinned);
  });

  test("says hello again to a data plane that died before its answer", () => {
    const plane = makePlane();
    plane.link.start();
    plane.socket.take();
    plane.socket.deliver(message(type.kDataHello, 2n));
    expect(plane.socket.takeTypes()).toEqual([type.kControlHello]);
  });

  test("closed is told once", () => {
    const plane = startedPlane();
    plane.socket.hangUp();
    plane.socket.hangUp();
    expect(plane.seen.closed).toBe(1);
  });
});

describe("asks", () => {
  test("a read of a small file installs its map, so that the data plane goes on alone", () => {
    const plane = startedPlane();
    plane.inodes.set(5, file([extent(0, 10, 4)], 4 * page));
    plane.socket.deliver(ask(1n, 5, 0, page));
    expect(plane.socket.takeTypes()).toEqual([type.kAnswer, type.kInstall]);
    plane.socket.deliver(message(type.kReadDone, 1n));
    expect(plane.asks.has(5)).toBe(false);
  });

  test("an overwrite installs too, and its commit leaves the map alone", () => {
    const plane = startedPlane();
    plane.inodes.set(5, file([extent(0, 10, 4)], 4 * page));
    plane.socket.deliver(ask(1n, 5, 0, page, askFlags.write));
    expect(plane.socket.takeTypes()).toEqual([type.kAnswer, type.kInstall]);
    plane.socket.deliver(commit(1n, 5));
    expect(plane.socket.takeTypes()).toEqual([type.kCommitted]);
  });

  test("no map is installed while a write that allocates is in flight", () => {
    const plane = startedPlane();
    plane.inodes.set(5, file([extent(0, 10, 4, "unwritten")], 4 * page));
    plane.socket.deliver(ask(1n, 5, 0, page, askFlags.write), ask(2n, 5, page, page));
    expect(plane.socket.takeTypes()).toEqual([type.kAnswer, type.kAnswer]);
    plane.socket.deliver(commit(1n, 5), ask(3n, 5, page, page));
    expect(plane.socket.takeTypes()).toEqual([type.kCommitted, type.kAnswer, type.kInstall]);
  });

  test("a commit that changes the map takes the old one away before it is answered", () => {
    const plane = startedPlane();
    plane.inodes.set(5, file([extent(0, 10, 4)], 4 * page));
    plane.socket.deliver(ask(1n, 5, 0, page), message(type.kReadDone, 1n));
    plane.socket.take();
    plane.socket.deliver(ask(2n, 5, 4 * page, page, askFlags.write));
    plane.socket.take();
    plane.socket.deliver(commit(2n, 5));
    expect(plane.socket.takeTypes()).toEqual([type.kRevoke, type.kCommitted]);
  });

  test("a pinned map is sent anew instead", () => {
    const plane = startedPlane();
    plane.inodes.set(5, file([extent(0, 10, 4, "unwritten")], 4 * page));
    plane.handles.open({ fh: 1n, ino: 5, flags: 2, pid: 1 });
    plane.handles.setSwapon(1n);
    plane.port.installPinned(5);
    plane.socket.deliver(ask(2n, 5, 0, page, askFlags.write));
    plane.socket.take();
    plane.socket.deliver(commit(2n, 5));
    expect(plane.socket.takeTypes()).toEqual([type.kInstall, type.kCommitted]);
  });

  test("a fragmented map waits until asks have cost as much as sending it", () => {
    const plane = startedPlane();
    plane.inodes.set(5, file(Array.from({ length: 640 }, (_, i) => extent(i, 10 + i * 2, 1)), 640 * page));
    const installs: number[] = [];
    for (let tag = 1; tag <= 11; tag += 1) {
      plane.socket.deliver(ask(BigInt(tag), 5, 0, page), message(type.kReadDone, BigInt(tag)));
      if (plane.socket.takeTypes().includes(type.kInstall)) installs.push(tag);
    }
    expect(installs).toEqual([11]);
  });

  test("an error becomes a negative errno and ends the ask", () => {
    const plane = startedPlane();
    plane.socket.deliver(ask(1n, 77, 0, page));
    const [answer] = plane.socket.take();
    expect(answer!.readInt32LE(24)).toBe(-2);
    expect(plane.asks.has(77)).toBe(false);
  });

  test("a commit that fails reaches the writer", () => {
    const plane = startedPlane();
    plane.inodes.set(5, file([extent(0, 10, 4)], 4 * page));
    plane.mapping.commitError = Object.assign(new Error("full"), { code: "ENOSPC" });
    plane.socket.deliver(ask(1n, 5, 0, page, askFlags.write), commit(1n, 5));
    const committed = plane.socket.take().find((sent) => typeOf(sent) === type.kCommitted)!;
    expect(committed.readInt32LE(16)).toBe(-28);
  });

  test("an answer that was being made when the data plane died is not sent", async () => {
    const plane = startedPlane();
    plane.inodes.set(5, file([extent(0, 10, 4)], 4 * page));
    plane.mapping.delayed = new Promise((resolve) => setTimeout(resolve, 1));
    plane.socket.deliver(ask(1n, 5, 0, page), message(type.kDataHello, 2n));
    expect(plane.socket.takeTypes()).toEqual([type.kDataReadyGo]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(plane.socket.takeTypes()).toEqual([]);
    expect(plane.mapping.log).toEqual(["drop"]);
  });

  test("answers of one batch leave in one system call", () => {
    const plane = startedPlane();
    plane.socket.batches.length = 0;
    plane.socket.deliver(ask(1n, 77, 0, page), ask(2n, 77, 0, page), ask(3n, 77, 0, page));
    expect(plane.socket.batches).toEqual([3]);
  });
});

describe("revoke", () => {
  test("waits for the data plane and for the asks that are in flight, not for later ones", async () => {
    const plane = startedPlane();
    plane.inodes.set(5, file([extent(0, 10, 4)], 4 * page));
    plane.socket.deliver(ask(1n, 5, 0, page));
    plane.socket.take();
    const over = plane.port.revoke(5);
    const [revoke] = plane.socket.take();
    expect(typeOf(revoke!)).toBe(type.kRevoke);
    plane.socket.deliver(ask(2n, 5, 0, page));
    expect(await settled(over)).toBe(false);
    plane.socket.deliver(message(type.kRevoked, tagOf(revoke!)));
    expect(await settled(over)).toBe(false);
    plane.socket.deliver(message(type.kReadDone, 1n));
    expect(await settled(over)).toBe(true);
    expect(plane.port.inUse(5)).toBe(true);
  });

  test("is over at once when nothing is known there, and not asked twice", async () => {
    const plane = startedPlane();
    expect(await settled(plane.port.revoke(5))).toBe(true);
    expect(plane.socket.take()).toEqual([]);
    plane.inodes.set(5, file([extent(0, 10, 4)], 4 * page));
    plane.handles.open({ fh: 1n, ino: 5, flags: 2, pid: 1 });
    plane.port.installPinned(5);
    const first = plane.port.revoke(5);
    const second = plane.port.revoke(5);
    const revokes = plane.socket.take().filter((sent) => typeOf(sent) === type.kRevoke);
    expect(revokes.length).toBe(1);
    expect(await settled(second)).toBe(false);
    plane.socket.deliver(message(type.kRevoked, tagOf(revokes[0]!)));
    expect(await settled(Promise.all([first, second]).then(() => undefined))).toBe(true);
    expect(plane.port.inUse(5)).toBe(false);
  });

  test("ends with the data plane that it was sent to", async () => {
    const plane = startedPlane();
    plane.inodes.set(5, file([extent(0, 10, 4)], 4 * page));
    plane.socket.deliver(ask(1n, 5, 0, page));
    const over = plane.port.revoke(5);
    plane.socket.deliver(message(type.kDataHello, 2n));
    expect(await settled(over)).toBe(true);
  });
});

describe("the port", () => {
  test("zero resolves, fails with EIO, and is sent again to the next data plane under another name", async () => {
    const plane = startedPlane();
    let over = false;
    const good = plane.port.zero(9, 100, 50).then(() => (over = true));
    const bad = plane.port.zero(10, 0, 4096);
    const [first, second] = plane.socket.take();
    plane.socket.deliver(result(type.kZeroed, tagOf(second!), -5));
    await expect(bad).rejects.toMatchObject({ code: "EIO" });
    plane.socket.deliver(message(type.kDataHello, 2n));
    const again = plane.socket.take()[0]!;
    expect(again.subarray(16)).toEqual(first!.subarray(16));
    // The first copy was still in the socket: the second is carried out after it, and only then nothing more will be.
    plane.socket.deliver(result(type.kZeroed, tagOf(first!)));
    await new Promise(setImmediate);
    expect(over).toBe(false);
    plane.socket.deliver(result(type.kZeroed, tagOf(again)));
    await good;
  });

  test("copy goes in steps of 1 MiB, 64 of all copies at a time, and fails with EIO", async () => {
    const plane = startedPlane();
    const long = plane.port.copy(100, 5000, 600);
    for (const [from, to, count] of [[100, 5000, 256], [356, 5256, 256], [612, 5512, 88]] as const) {
      const [sent] = plane.socket.take();
      expect(CopyMessage.decode(sent!)).toMatchObject({ from_page: BigInt(from), to_page: BigInt(to), count });
      plane.socket.deliver(result(type.kCopied, tagOf(sent!)));
      await new Promise(setImmediate);
    }
    await long;
    const many = Array.from({ length: 70 }, (_, n) => plane.port.copy(100 + n, 5000 + n, 1));
    const sent = plane.socket.take();
    expect(sent).toHaveLength(64);
    for (const one of sent.slice(1)) plane.socket.deliver(result(type.kCopied, tagOf(one)));
    plane.socket.deliver(result(type.kCopied, tagOf(sent[0]!), -5));
    await expect(many[0]).rejects.toMatchObject({ code: "EIO" });
    for (const one of plane.socket.take()) plane.socket.deliver(result(type.kCopied, tagOf(one)));
    await Promise.all(many.slice(1));
  });

  test("a map that found no room is not in use and not tried again before its extents change", () => {
    const plane = startedPlane();
    plane.inodes.set(5, file([extent(0, 10, 4)], 4 * page));
    plane.socket.deliver(ask(1n, 5, 0, page), message(type.kReadDone, 1n));
    const install = plane.socket.take().find((sent) => typeOf(sent) === type.kInstall)!;
    plane.socket.deliver(result(type.kInstalled, tagOf(install), -12));
    expect(plane.port.inUse(5)).toBe(false);
    plane.socket.deliver(ask(2n, 5, 0, page), message(type.kReadDone, 2n));
    expect(plane.socket.takeTypes()).toEqual([type.kAnswer]);
    plane.port.noteChanges([{ kind: "set-extents", ino: 5, filePage: 0, count: 1, extents: [] }]);
    plane.socket.deliver(ask(3n, 5, 0, page));
    expect(plane.socket.takeTypes()).toEqual([type.kAnswer, type.kInstall]);
  });

  test("noteChanges: a new size or a setuid bit takes the map away, a new time does not", () => {
    const plane = startedPlane();
    const inode = file([extent(0, 10, 4)], 4 * page);
    plane.inodes.set(5, inode);
    const time = { seconds: 0, nanoseconds: 0 };
    const attributes = { mode: 0, uid: 0, gid: 0, nlink: 1, size: 0, rdev: 0, atime: time, mtime: time, ctime: time };
    const touch = (): void => plane.port.noteChanges([{ kind: "put-inode", ino: 5, attributes }]);
    const cache = (tag: bigint): void => plane.socket.deliver(ask(tag, 5, 0, page), message(type.kReadDone, tag));
    cache(1n);
    plane.socket.take();
    touch();
    expect(plane.socket.take()).toEqual([]);
    inode.size = page;
    touch();
    expect(plane.socket.takeTypes()).toEqual([type.kRevoke]);
    cache(2n);
    plane.socket.take();
    inode.mode = 0o104755;
    touch();
    expect(plane.socket.takeTypes()).toEqual([type.kRevoke]);
    cache(3n);
    const install = plane.socket.take().find((sent) => typeOf(sent) === type.kInstall)!;
    expect(installOf(install).flags & mapFlags.plain).toBe(0);
  });

  test("invalidate is a notification with unique 0, not a reply through the socket", () => {
    const plane = startedPlane();
    void plane.port.invalidate(7);
    expect(plane.socket.take()).toEqual([]);
    expect(plane.notified[0]!.toString("hex")).toBe(
      "28000000" + "02000000" + "0000000000000000" + "0700000000000000" + "00".repeat(16),
    );
  });
});

describe("OrderedReplies", () => {
  const names: string[] = [];
  const reply = (name: string) => ({ make: () => Buffer.from(name), written: () => void names.push(name) });

  beforeEach(() => void (names.length = 0));

  test("a reply is written at once when the data plane has nothing left to carry out", () => {
    const plane = startedPlane();
    plane.replies.send(reply("a"));
    expect([names, plane.socket.take()]).toEqual([["a"], []]);
  });

  test("a reply waits for what was sent before it, not for what came later, and replies keep their order", () => {
    const plane = startedPlane();
    for (const ino of [5, 6]) plane.inodes.set(ino, file([extent(0, 10, 4)], 4 * page));
    const serials = [5, 6].map((ino) => {
      plane.handles.open({ fh: BigInt(ino), ino, flags: 2, pid: 1 });
      plane.port.installPinned(ino);
      plane.replies.send(reply(`after ${ino}`));
      return tagOf(plane.socket.take()[0]!);
    });
    plane.socket.deliver(result(type.kInstalled, serials[1]!));
    expect(names).toEqual([]);
    plane.socket.deliver(result(type.kInstalled, serials[0]!));
    expect(names).toEqual(["after 5", "after 6"]);
    void plane.port.revoke(5);
    const [revoke] = plane.socket.take();
    plane.replies.send(reply("after the revoke"));
    void plane.port.revoke(6);
    expect(names).toEqual(["after 5", "after 6"]);
    plane.socket.deliver(message(type.kRevoked, tagOf(revoke!)));
    expect(names.at(-1)).toBe("after the revoke");
  });

  test("a new data plane has no old map: nothing waits for the one that died", () => {
    const plane = startedPlane();
    plane.inodes.set(5, file([extent(0, 10, 4)], 4 * page));
    plane.handles.open({ fh: 1n, ino: 5, flags: 2, pid: 1 });
    plane.port.installPinned(5);
    plane.replies.send(reply("a"));
    plane.socket.deliver(message(type.kDataHello, 2n));
    expect(names).toEqual(["a"]);
  });
});
