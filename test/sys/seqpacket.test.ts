import * as fs from "node:fs";

import { addon } from "#src/sys/addon";

const slotBytes = 4096;
const buffer = Buffer.alloc(8 * slotBytes);
const lengths = new Uint32Array(8);
let pair: [number, number];

beforeEach(() => (pair = addon().seqpacketPair(1 << 20)));
afterEach(() => pair.forEach((fd) => { try { fs.closeSync(fd); } catch { /* a test closed it */ } }));

describe("recvMessages", () => {
  test("takes nothing, one, and many, each whole", () => {
    const [here, there] = pair;
    expect(addon().recvMessages(here, buffer, lengths)).toBe(0);
    addon().sendMessage(there, Buffer.from("alpha"));
    addon().sendMessages(there, [Buffer.from("be"), Buffer.alloc(slotBytes, 7)]);
    expect(addon().recvMessages(here, buffer, lengths)).toBe(3);
    expect([...lengths.subarray(0, 3)]).toEqual([5, 2, slotBytes]);
    expect(buffer.subarray(0, 5).toString()).toBe("alpha");
    expect(buffer.subarray(slotBytes, slotBytes + 2).toString()).toBe("be");
    expect(buffer[3 * slotBytes - 1]).toBe(7);
  });

  test("leaves what does not fit into the batch for the next call", () => {
    const [here, there] = pair;
    addon().sendMessages(there, Array.from({ length: 11 }, (_, i) => Buffer.from([i])));
    expect(addon().recvMessages(here, buffer, lengths)).toBe(8);
    expect(addon().recvMessages(here, buffer, lengths)).toBe(3);
    expect(buffer[2 * slotBytes]).toBe(10);
  });

  test("says -1 when the other end is closed, after the last datagram", () => {
    const [here, there] = pair;
    addon().sendMessage(there, Buffer.from("last"));
    fs.closeSync(there);
    expect(addon().recvMessages(here, buffer, lengths)).toBe(1);
    expect(addon().recvMessages(here, buffer, lengths)).toBe(-1);
  });

  test("throws EMSGSIZE for a datagram longer than its slot", () => {
    addon().sendMessage(pair[1], Buffer.alloc(slotBytes + 1));
    expect(() => addon().recvMessages(pair[0], buffer, lengths)).toThrow(expect.objectContaining({ code: "EMSGSIZE" }));
  });
});

describe("sendMessage", () => {
  test("sends the first `length` bytes", () => {
    addon().sendMessage(pair[1], Buffer.from("abcdef"), 2);
    addon().recvMessages(pair[0], buffer, lengths);
    expect(lengths[0]).toBe(2);
  });

  test("throws EPIPE, without a signal, when nobody can receive", () => {
    fs.closeSync(pair[0]);
    expect(() => addon().sendMessage(pair[1], Buffer.from("x")))
      .toThrow(expect.objectContaining({ code: "EPIPE", errno: -32, syscall: "send" }));
  });

  test("refuses arguments of the wrong type", () => {
    const send = addon().sendMessage as (...words: unknown[]) => void;
    expect(() => send("x", Buffer.alloc(1))).toThrow(/number/);
    expect(() => send(pair[1], "text")).toThrow(/Buffer/);
    expect(() => send(pair[1], Buffer.alloc(1), 2)).toThrow(/past the end/);
  });
});

describe("watch", () => {
  test("calls back for what is there and what comes later, until unwatch", async () => {
    const [here, there] = pair;
    const seen: number[] = [];
    addon().sendMessage(there, Buffer.from([1]));
    await new Promise<void>((resolve) => {
      addon().watch(here, (status) => {
        expect(status).toBe(0);
        addon().recvMessages(here, buffer, lengths);
        seen.push(buffer[0]!);
        if (seen.length === 3) resolve();
        else addon().sendMessage(there, Buffer.from([seen.length + 1]));
      });
    });
    addon().unwatch(here);
    addon().sendMessage(there, Buffer.from([9]));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(seen).toEqual([1, 2, 3]);
  });

  test("runs promise jobs of the callback before the next one", async () => {
    const order: string[] = [];
    addon().sendMessages(pair[1], [Buffer.from([1]), Buffer.from([2])]);
    const one = new Uint32Array(1);
    await new Promise<void>((resolve) => {
      addon().watch(pair[0], () => {
        addon().recvMessages(pair[0], buffer, one);
        const name = buffer[0]!;
        order.push(`call ${name}`);
        void Promise.resolve().then(() => {
          order.push(`job ${name}`);
          if (name === 2) resolve();
        });
      });
    });
    addon().unwatch(pair[0]);
    expect(order).toEqual(["call 1", "job 1", "call 2", "job 2"]);
  });

  test("refuses a second watcher of one descriptor, and forgets with unwatch", () => {
    addon().watch(pair[0], () => undefined);
    expect(() => addon().watch(pair[0], () => undefined)).toThrow(expect.objectContaining({ code: "EEXIST" }));
    addon().unwatch(pair[0]);
    addon().unwatch(pair[0]);
    addon().watch(pair[0], () => undefined);
    addon().unwatch(pair[0]);
  });
});
