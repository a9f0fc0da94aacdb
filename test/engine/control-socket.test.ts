import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { ask as askThrough } from "#src/cli/common/control";
import { ControlSocket } from "#src/engine/control-socket";

let folder: string;
let socket: ControlSocket;
let uid = 0;
/** Commands that a signal has ended. */
let ended = 0;

beforeEach(async () => {
  uid = 0;
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-control-"));
  socket = new ControlSocket({
    path: path.join(folder, "control.sock"),
    peer: () => ({ uid, pid: 1 }),
    commands: {
      echo: (question) => ({ said: question["word"], big: 2n ** 60n }),
      fail: () => { throw new Error("the volume is closed"); },
      nothing: () => undefined,
      short: async (_, { tell, signal }) => {
        tell({ n: 1 });
        await new Promise((resolve) => setTimeout(resolve, 50));
        return { stopped: signal.aborted };
      },
      long: async (_, { tell, signal }) => {
        for (let n = 1; !signal.aborted; n += 1) {
          tell({ n });
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        ended += 1;
        return { stopped: true };
      },
    },
  });
  await socket.listen();
});

afterEach(() => {
  socket.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

function ask(text: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let received = "";
    const client = net.connect(path.join(folder, "control.sock"), () => client.write(text));
    client.setEncoding("utf8");
    client.on("data", (chunk: string) => (received += chunk));
    client.on("error", reject);
    client.on("close", () => resolve(JSON.parse(received)));
  });
}

test("ControlSocket: a question in two pieces is answered in one line", async () => {
  expect(await ask(`{"command":"echo","word":"a"}\n`)).toEqual({ result: { said: "a", big: (2n ** 60n).toString() } });
  expect(await ask(`{"command":"nothing"}\n`)).toEqual({ result: null });
});

test("ControlSocket: what a command throws is the answer", async () => {
  expect(await ask(`{"command":"fail"}\n`)).toEqual({ error: "the volume is closed" });
});

test.each(["{", "[]", `{"command":"toString"}`, `{"command":7}`])("ControlSocket: %s gets an error", async (text) => {
  expect(await ask(`${text}\n`)).toEqual({ error: expect.any(String) });
});

test("ControlSocket: somebody who is not root gets a clear error", async () => {
  uid = 1000;
  expect(await ask(`{"command":"echo"}\n`)).toEqual({ error: "only root may ask, you are uid 1000: run it as root" });
});

test("ControlSocket: the file is for root alone, and replaces one that was left behind", async () => {
  const file = path.join(folder, "control.sock");
  expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  const next = new ControlSocket({ path: file, peer: () => ({ uid: 0, pid: 1 }), commands: { who: () => "next" } });
  await next.listen();
  expect(await ask(`{"command":"who"}\n`)).toEqual({ result: "next" });
  next.close();
});

test("ControlSocket: a question without an end is refused, not kept", async () => {
  expect(await ask("x".repeat(140_000))).toEqual({ error: "the question is too long" });
});

test("what takes long tells how far it is, and a second line ends it", async () => {
  ended = 0;
  const lines = await new Promise<string[]>((resolve, reject) => {
    let received = "";
    const client = net.connect(path.join(folder, "control.sock"), () => client.write('{"command": "long"}\n'));
    client.on("data", (chunk: Buffer) => {
      received += chunk.toString();
      if (received.includes('{"event":{"n":3}}')) client.write("stop\n");
    });
    client.on("error", reject);
    client.on("close", () => resolve(received.trimEnd().split("\n")));
  });
  expect(lines.slice(0, 3)).toEqual(['{"event":{"n":1}}', '{"event":{"n":2}}', '{"event":{"n":3}}']);
  expect(lines.at(-1)).toBe('{"result":{"stopped":true}}');
  expect(ended).toBe(1);
});

test("who does not follow a command gets its answer all the same", async () => {
  expect(await askThrough(folder, { command: "short" })).toEqual({ stopped: false });
});

test("what takes long ends when the asker is gone", async () => {
  ended = 0;
  const client = net.connect(path.join(folder, "control.sock"), () => client.write('{"command": "long"}\n'));
  await new Promise((resolve) => client.once("data", resolve));
  client.destroy();
  const end = Date.now() + 5000;
  while (ended === 0 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(ended).toBe(1);
});

test("a second line that comes with the first ends it at once", async () => {
  expect(await ask('{"command": "long"}\nstop\n')).toEqual({ result: { stopped: true } });
});

test("ask: a control plane that a keeper has just started is waited for until it listens; without a keeper it fails at once", async () => {
  socket.close();
  const echo = (): Promise<unknown> => askThrough(folder, { command: "echo", word: "a" });
  await expect(echo()).rejects.toThrow(/cannot ask the control plane/);
  const keeper = spawn("flock", [folder, "sh", "-c", "echo taken; exec cat"], { stdio: ["pipe", "pipe", "ignore"] });
  await once(keeper.stdout, "data");
  const listening = new Promise((resolve) => setTimeout(() => resolve(socket.listen()), 300));
  try {
    expect(await echo()).toMatchObject({ said: "a" });
  } finally {
    await listening;
    keeper.stdin.end();
    await once(keeper, "exit");
  }
});
