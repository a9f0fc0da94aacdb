// Commands to the data plane that it answers with an error number, each named by a tag. A data plane that dies may have
// carried one out or not, so the next one is given all of them again, under new tags: it answers in the order of sending,
// and so the answer to the last name says that no earlier copy will be carried out any more.

import type { MessageSink } from "./channel";

interface Command {
  encode(tag: bigint): Buffer;
  settle(error: number): void;
}

export class CommandsInFlight {
  readonly #sink: MessageSink;
  readonly #atMost: number;
  readonly #nextTag: () => bigint;
  readonly #sent = new Map<bigint, Command>();
  readonly #waiting: Command[] = [];

  /** `atMost` are under way; later ones wait here. */
  constructor(sink: MessageSink, atMost: number, nextTag: () => bigint) {
    this.#sink = sink;
    this.#atMost = atMost;
    this.#nextTag = nextTag;
  }

  /** Resolves with the answer, 0 or a negative errno. */
  run(encode: (tag: bigint) => Buffer): Promise<number> {
    return new Promise((settle) => {
      const command = { encode, settle };
      if (this.#sent.size < this.#atMost) this.#send(command);
      else this.#waiting.push(command);
    });
  }

  /** An answer has come; one to a name that is no more in use says nothing. */
  answered(tag: bigint, error: number): void {
    const command = this.#sent.get(tag);
    if (command === undefined) return;
    this.#sent.delete(tag);
    const next = this.#waiting.shift();
    if (next !== undefined) this.#send(next);
    command.settle(error);
  }

  /** The data plane is a new one. */
  sendAgain(): void {
    const commands = [...this.#sent.values()];
    this.#sent.clear();
    for (const command of commands) this.#send(command);
  }

  #send(command: Command): void {
    const tag = this.#nextTag();
    this.#sent.set(tag, command);
    this.#sink.send(command.encode(tag));
  }
}
