// Steps that kill the processes of the mount, also in the middle of a call, and those that mount anew.

import { sleep } from "../../support/mounted-run";
import type { Answer } from "../../support/systemcalls";
import { compare } from "./compare";
import type { History } from "./history";
import { isKept, label, page, type Result } from "./model";
import { aimed, both, full, hasRoom, idle, some, target, type Step, type Steps } from "./stepping";

const killData: Step = (h) => killed(h, "data plane");
const killControl: Step = (h) => killed(h, "control plane");

/** What another one makes of the journal is compared half of the time, before anything else happens. */
async function killed(h: History, role: "data plane" | "control plane"): Promise<string> {
  h.log.push(`kill the ${role}`);
  (await h.killer(role))();
  if (h.random.chance(0.5)) await compare(h, `after a kill of the ${role}`);
  return `kill the ${role}`;
}

const killInWrite: Step = async (h) => {
  const file = target(h);
  if (!file || !hasRoom(h)) return undefined;
  const [from, bytes] = [aimed(h, file, 40), (20 + h.random.below(50)) * page];
  const { stamp, bytes: contents } = h.stamped(bytes);
  const call = (): Promise<Answer> => h.place.calls.writeByPage(h.reach(file)!, from, bytes, stamp);
  const what = `write by page ${label(file)} ${from} +${bytes} (write ${stamp})`;
  return both(h, what, call, () => h.model.writeByPage(file, from, contents), await strike(h));
};

const killInClone: Step = async (h) => {
  const [from, to] = [full(h), idle(h) ?? some(h)];
  const pages = from && Math.floor(from.data.length / page);
  if (!from || !to || !pages || from === to || !hasRoom(h)) return undefined;
  const model = (): Result => {
    let sum = 0;
    for (let at = 0; at < pages; at += 1) {
      const done = h.model.copy(from, at * page, to, at * page, page);
      if (typeof done === "string") return done;
      sum += done;
    }
    return sum;
  };
  const call = (): Promise<Answer> => h.place.calls.copyByPage(h.reach(from)!, h.reach(to)!, pages);
  return both(h, `clone by page ${label(from)} ${label(to)}`, call, model, await strike(h));
};

/** Each of these calls fails when it is carried out a second time. */
const killAmongNames: Step = async (h) => {
  const call = (): Promise<Answer> => h.place.calls.namesComeAndGo(h.place.mountpoint, 12);
  return both(h, "names come and go", call, () => 0, await strike(h));
};

/** One of the two, or both, some moments after the call began. */
export async function strike(h: History): Promise<() => Promise<void>> {
  const roles = h.random.pick([["data plane"], ["control plane"], ["data plane", "control plane"]] as const);
  const kills = await Promise.all(roles.map((role) => h.killer(role)));
  return async () => {
    await sleep(h.random.below(12));
    h.log.push(`kill the ${roles.join(" and the ")}`);
    for (const kill of kills) kill();
  };
}

const remount: Step = async (h) => {
  const what = h.random.pick(["remount", "remount --activate", "kill all, mount again"] as const);
  h.log.push(what);
  if (h.model.files.some(isKept)) h.tally.add("remount with files that were kept");
  if (what === "kill all, mount again") await h.killAll();
  else await h.remount(what !== "remount");
  await compare(h, `after ${what}`);
  return what;
};

export const deathSteps: Steps = [
  ["kill the data plane", killData, 1], ["kill the control plane", killControl, 2], ["kill in a write", killInWrite, 1],
  ["kill in a clone", killInClone, 1], ["kill among names", killAmongNames, 1], ["remount", remount, 1],
];
