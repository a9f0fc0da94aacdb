// Questions to a running volume: one JSON line to <run-dir>/control.sock, one JSON line back.

import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError, exitCode, messageOf, type ExitCode } from "../../base/errors";
import { withOpen } from "../../sys/kernelfiles";
import { lockNow } from "./flock";
import { failed } from "./outcome";

export interface ControlQuestion {
  readonly command: string;
  readonly [argument: string]: unknown;
}

const answerMs = 20_000;
/** Between two lines of a command that takes long: one step of it on a slow disk. */
const eventMs = 120_000;
const listeningMs = 2_000;

export interface Following {
  readonly event: (event: unknown) => void;
  /** Asks the command to end; its answer comes all the same. */
  readonly signal: AbortSignal;
}

/** The control plane hung up before it answered: it died, and the keeper starts another. */
export class HungUp extends UserError {
  override name = "HungUp";
}

/** The answer's `result`. Throws a UserError when the control plane does not answer or says that it cannot. */
export async function ask(runDir: string, question: ControlQuestion, following?: Following): Promise<unknown> {
  let text: string;
  try {
    text = await untilHeard(runDir, () => exchange(join(runDir, "control.sock"), `${JSON.stringify(question)}\n`, following));
  } catch (error) {
    const message = `cannot ask the control plane of ${runDir}: ${messageOf(error)}, ${remedyFor(error, runDir)}`;
    const { code } = error as NodeJS.ErrnoException;
    throw code === "ECONNRESET" || code === "EPIPE" ? new HungUp(exitCode.mountFailed, message) : failed(message);
  }
  const answer = parse(text, runDir);
  if (answer.error === undefined) return answer.result;
  throw answer.exit === undefined ? failed(`cannot ${question.command}: ${answer.error}`) : new UserError(answer.exit, answer.error);
}

/** A control plane that was started again answers the mount a moment before it listens here. */
async function untilHeard(runDir: string, talk: () => Promise<string>): Promise<string> {
  for (const end = Date.now() + listeningMs; ; await sleep(20)) {
    try {
      return await talk();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if ((code !== "ENOENT" && code !== "ECONNREFUSED") || Date.now() >= end || !isHeld(runDir)) throw error;
    }
  }
}

/** By its keeper, which starts others. */
function isHeld(runDir: string): boolean {
  try {
    return withOpen(runDir, "r", (fd) => !lockNow(fd, "shnb"));
  } catch {
    return false;
  }
}

/** As `ask`, of a control plane that is just being started: again and again, for so long. */
export async function askStarting(runDir: string, question: ControlQuestion, waitMs: number): Promise<unknown> {
  for (const end = Date.now() + waitMs; ; await sleep(50)) {
    try {
      return await ask(runDir, question);
    } catch (error) {
      if (Date.now() >= end) throw error;
    }
  }
}

function remedyFor(error: unknown, runDir: string): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "EACCES" || code === "EPERM") return "run it as root";
  return `look at ${join(runDir, "log")}`;
}

interface Answer {
  readonly result?: unknown;
  readonly error?: string;
  readonly exit?: ExitCode;
}

function parse(text: string, runDir: string): Answer {
  try {
    return JSON.parse(text) as Answer;
  } catch {
    throw new HungUp(exitCode.mountFailed, `cannot ask the control plane of ${runDir}: it hung up without an answer, look at ${join(runDir, "log")}`);
  }
}

/** Resolves with the last line, which is the answer; lines before it are events. */
function exchange(path: string, line: string, following?: Following): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let received = "";
    const waitMs = following ? eventMs : answerMs;
    const stop = (): void => void socket.write("stop\n");
    socket.setTimeout(waitMs, () => socket.destroy(failed(`no answer within ${waitMs / 1000} s`)));
    socket.setEncoding("utf8");
    socket.on("connect", () => {
      socket.write(line);
      following?.signal.addEventListener("abort", stop);
      if (following?.signal.aborted) stop();
    });
    socket.on("data", (text: string) => {
      received = takeEvents(received + text, following?.event);
      if (received.endsWith("\n")) socket.end();
    });
    socket.on("error", reject);
    socket.on("close", () => {
      following?.signal.removeEventListener("abort", stop);
      resolve(received);
    });
  });
}

/** Hands over the whole lines that are events, to who asked for them; returns what is left. */
function takeEvents(text: string, event?: Following["event"]): string {
  let rest = text;
  for (let end = rest.indexOf("\n"); end >= 0 && rest.startsWith('{"event":'); end = rest.indexOf("\n")) {
    event?.((JSON.parse(rest.slice(0, end)) as { event: unknown }).event);
    rest = rest.slice(end + 1);
  }
  return rest;
}
