// state.json in the run directory: what the volume is, for whoever finds the directory without a process to ask.

import fs from "node:fs";
import path from "node:path";
import type { Session } from "../../dataplane/session";
import { backingFile } from "../../sys/loop";
import type { Environment } from "./environment";

export type StateFile = Readonly<ReturnType<typeof stateOf>>;

function stateOf({ device, mountpoint }: Environment, session: Session) {
  const { keeper_pid: keeper, data_pid: data } = session.header();
  const image = backingFile(device) ?? null;
  return { source: image ?? device, device, mountpoint, image, pids: { keeper, data, control: process.pid } };
}

export function writeStateFile(env: Environment, session: Session): void {
  const state = stateOf(env, session);
  const file = path.join(env.runDir, "state.json");
  fs.writeFileSync(`${file}.new`, `${JSON.stringify(state)}\n`, { mode: 0o600 });
  fs.renameSync(`${file}.new`, file); // a reader sees the old one or the new one
}
