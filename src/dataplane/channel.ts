// The control plane's end of the SOCK_SEQPACKET pair: datagrams in, datagrams out, in order.

import { assert } from "../base/assert";
import { messageOf } from "../base/errors";
import { debugLog, logLine } from "../base/log";
import { messageBytesMax } from "./messages";

const log = debugLog("dataplane");

/** What the native addon gives; tests give a fake. */
export interface SocketCalls {
  /** As Addon.recvMessages: the i-th datagram at i * slot, its length in lengths[i]. 0: none, -1: the peer is gone. */
  receive(buffer: Buffer, lengths: Uint32Array): number;
  /** Sends whole datagrams in order; waits while the socket is full (the data plane always drains it). */
  send(messages: readonly Uint8Array[]): void;
  /** Calls back whenever something can be received, until `unwatch`. */
  watch(readable: () => void): void;
  unwatch(): void;
}

export interface MessageSink {
  send(message: Uint8Array): void;
}

const batch = 32;

export class Channel implements MessageSink {
  readonly #calls: SocketCalls;
  readonly #buffer = Buffer.alloc(batch * messageBytesMax); // zero pages: resident only where datagrams were long
  readonly #lengths = new Uint32Array(batch);
  #corked: Uint8Array[] | undefined;
  #closed = false;

  constructor(calls: SocketCalls) {
    this.#calls = calls;
  }

  /** `received` gets each datagram, valid only during the call; `closed` is called once, when the peer is gone for good. */
  start(received: (message: Buffer) => void, closed: () => void): void {
    this.#calls.watch(() => {
      const count = this.#calls.receive(this.#buffer, this.#lengths);
      if (count >= 0) return this.#deliver(count, received);
      this.close();
      closed();
    });
  }

  send(message: Uint8Array): void {
    assert(message.length <= messageBytesMax, "a message fits a datagram");
    if (this.#closed) return;
    if (this.#corked) this.#corked.push(message);
    else this.#calls.send([message]);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#calls.unwatch();
  }

  // What a batch of requests answers at once leaves in one system call.
  #deliver(count: number, received: (message: Buffer) => void): void {
    this.#corked = [];
    for (let index = 0; index < count; index += 1) {
      const at = index * messageBytesMax;
      this.#guarded(this.#buffer.subarray(at, at + this.#lengths[index]!), received);
    }
    const answers = this.#corked;
    this.#corked = undefined;
    if (answers.length > 0 && !this.#closed) this.#calls.send(answers);
  }

  // One message that meets a bug must not take the others of its batch with it.
  #guarded(message: Buffer, received: (message: Buffer) => void): void {
    try {
      received(message);
    } catch (error) {
      log("message %O", error);
      logLine(`cannot carry out a message of the data plane: ${messageOf(error)}`);
    }
  }
}
