// Questions to a running volume over a unix socket: one JSON line {"command": …}, one JSON line back, {"result": …} or
// {"error": "…"}, with {"exit": code} where the words are for a person as they are. What takes long says how far it is in lines {"event": …} before that, and is ended by a second line of
// the asker's, or by its hanging up. Root only: the socket's mode says so, and the peer's credentials are asked as well.

import fs from "node:fs";
import net from "node:net";
import { messageOf, UserError } from "../base/errors";
import { debugLog } from "../base/log";

const log = debugLog("engine");

export type Question = Readonly<Record<string, unknown>>;

/** The asker, while a command is under way. */
export interface Asker {
  /** A line {"event": …}, for whoever still listens. */
  tell(event: unknown): void;
  /** Aborted when the asker wants an end of it, or is gone. */
  readonly signal: AbortSignal;
}

/** Answers by command; a thrown error's message becomes the answer's `error`. */
export type Commands = Readonly<Record<string, (question: Question, asker: Asker) => unknown>>;

export interface ControlSocketOptions {
  readonly path: string;
  readonly commands: Commands;
  /** who connected (SO_PEERCRED) */
  readonly peer: (socket: net.Socket) => { readonly uid: number; readonly pid: number };
}

/** A question is a line of a path and the 64 KiB that may hold a swap header, in base64, at most. */
const lineBytesMax = 128 * 1024;

export class ControlSocket {
  readonly #options: ControlSocketOptions;
  readonly #server: net.Server;

  constructor(options: ControlSocketOptions) {
    this.#options = options;
    this.#server = net.createServer((socket) => this.#serve(socket));
  }

  /** Resolves when the socket can be connected to. A socket file of a control plane before this one is replaced. */
  async listen(): Promise<void> {
    fs.rmSync(this.#options.path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      const umask = process.umask(0o177); // bind(2) happens inside the call: no moment at which others could connect
      this.#server.listen(this.#options.path, resolve);
      process.umask(umask);
    });
    this.#server.unref();
  }

  close(): void {
    this.#server.close();
  }

  #serve(socket: net.Socket): void {
    let text = "";
    socket.unref();
    socket.setEncoding("utf8");
    socket.on("error", (error) => log("control socket: %s", error.message));
    const refusal = this.#refusal(socket);
    if (refusal !== undefined) return void socket.end(line({ error: refusal }));
    socket.on("data", (chunk: string) => {
      text += chunk;
      const end = text.indexOf("\n");
      if (end >= 0) {
        socket.removeAllListeners("data");
        void this.#answer(text.slice(0, end), askerAt(socket, end + 1 < text.length)).then((answer) => socket.end(line(answer)));
      } else if (text.length > lineBytesMax) socket.end(line({ error: "the question is too long" }));
    });
  }

  #refusal(socket: net.Socket): string | undefined {
    try {
      const { uid } = this.#options.peer(socket);
      return uid === 0 ? undefined : `only root may ask, you are uid ${uid}: run it as root`;
    } catch (error) {
      return messageOf(error);
    }
  }

  async #answer(text: string, asker: Asker): Promise<{ result: unknown } | { error: string; exit?: number }> {
    try {
      const question = JSON.parse(text) as Question;
      const name = question["command"];
      const command = typeof name === "string" && Object.hasOwn(this.#options.commands, name) ? this.#options.commands[name] : undefined;
      if (command === undefined) return { error: `no command ${JSON.stringify(name)}, known: ${Object.keys(this.#options.commands).join(", ")}` };
      return { result: (await command(question, asker)) ?? null };
    } catch (error) {
      return { error: messageOf(error), ...(error instanceof UserError && { exit: error.exit }) };
    }
  }
}

/** `ended`: the second line came with the first. */
function askerAt(socket: net.Socket, ended: boolean): Asker {
  const controller = new AbortController();
  if (ended) controller.abort();
  socket.once("data", () => controller.abort());
  socket.once("close", () => controller.abort());
  return { signal: controller.signal, tell: (event) => void (socket.writable && socket.write(line({ event }))) };
}

function line(answer: unknown): string {
  return `${JSON.stringify(answer, (_, value: unknown) => (typeof value === "bigint" ? value.toString() : value))}\n`;
}
