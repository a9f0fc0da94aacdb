// Questions to a running volume: one JSON line to <run-dir>/control.sock, one JSON line back.

import { connect } from "node:net";
import { join } from "node:path";
import { messageOf } from "../base/errors";
import { failed } from "./outcome";

export interface ControlQuestion {
  readonly command: string;
  readonly [argument: string]: unknown;
}

const answerMs = 20_000;

/** The answer's `result`. Throws a UserError when the control plane does not answer or says that it cannot. */
export async function ask(runDir: string, question: ControlQuestion): Promise<unknown> {
  let text: string;
  try {
    text = await exchange(join(runDir, "control.sock"), `${JSON.stringify(question)}\n`);
  } catch (error) {
    throw failed(`cannot ask the control plane of ${runDir}: ${messageOf(error)}, ${remedyFor(error, runDir)}`);
  }
  const answer = parse(text, runDir);
  if (typeof answer.error === "string") throw failed(`cannot ${question.command}: ${answer.error}`);
  return answer.result;
}

function remedyFor(error: unknown, runDir: string): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "EACCES" || code === "EPERM") return "run it as root";
  return `look at ${join(runDir, "log")}`;
}

function parse(text: string, runDir: string): { result?: unknown; error?: unknown } {
  try {
    return JSON.parse(text) as { result?: unknown; error?: unknown };
  } catch {
    throw failed(`cannot ask the control plane of ${runDir}: it hung up without an answer, look at ${join(runDir, "log")}`);
  }
}

function exchange(path: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let received = "";
    const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${answerMs / 1000} s`)), answerMs);
    socket.setEncoding("utf8");
    socket.on("connect", () => socket.write(line));
    socket.on("data", (text: string) => {
      received += text;
      if (received.endsWith("\n")) socket.end();
    });
    socket.on("error", reject);
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(received);
    });
  });
}
