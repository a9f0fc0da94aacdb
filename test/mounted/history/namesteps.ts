// Steps that change names, and who keeps a file without one.

import type { Answer } from "../../support/systemcalls";
import { compareFile } from "./compare";
import type { History } from "./history";
import { label, page, type Held } from "./model";
import { both, filesMax, names, rather, some, someNamed, type Step, type Steps } from "./stepping";

const heldMax = 3;

const create: Step = async (h) => {
  const name = h.random.pick(names);
  if (h.model.files.length >= filesMax && !h.model.find(name)) return undefined;
  const done = await both(h, `create ${name}`, () => h.place.calls.create(h.at(name)), () => h.model.create(name));
  h.model.find(name)!.ino = await h.inoOf(name);
  return done;
};

/** A file with something in it, so that there is something to work on. */
export async function makeFull(h: History): Promise<void> {
  const name = names.find((one) => !h.model.find(one))!;
  await both(h, `create ${name}`, () => h.place.calls.create(h.at(name)), () => h.model.create(name));
  const file = h.model.find(name)!;
  file.ino = await h.inoOf(name);
  const { stamp, bytes } = h.stamped(1 + h.random.below(40 * page));
  const call = (): Promise<Answer> => h.place.calls.write(h.at(name), 0, bytes.length, stamp);
  await both(h, `write ${name} 0 +${bytes.length} (write ${stamp})`, call, () => h.model.write(file, 0, bytes));
}

const unlink: Step = async (h) => {
  const file = rather(h, ({ names: has, held, mode }) => has.length > 0 && (has.length > 1 || held.length > 0 || mode !== undefined), 0.5);
  if (!file || file.names.length === 0) return undefined;
  const name = h.random.pick(file.names);
  return both(h, `unlink ${name}`, () => h.place.calls.unlink(h.at(name)), () => h.model.unlink(file, name));
};

const link: Step = async (h) => {
  const [file, name] = [someNamed(h), h.random.pick(names)];
  if (!file) return undefined;
  const from = h.random.pick(file.names);
  return both(h, `link ${from} ${name}`, () => h.place.calls.link(h.at(from), h.at(name)), () => h.model.link(file, name));
};

const rename: Step = (h) => renameTo(h, names.filter((name) => !h.model.find(name)));
const renameOver: Step = (h) => renameTo(h, names.filter((name) => h.model.find(name)));

async function renameTo(h: History, targets: readonly string[]): Promise<string | undefined> {
  const file = someNamed(h);
  if (!file || targets.length === 0) return undefined;
  const [from, to] = [h.random.pick(file.names), h.random.pick(targets)];
  return both(h, `rename ${from} ${to}`, () => h.place.calls.rename(h.at(from), h.at(to)), () => h.model.rename(file, from, to));
}

const exchange: Step = async (h) => {
  const [file, other] = [someNamed(h), someNamed(h)];
  if (!file || !other) return undefined;
  const [from, to] = [h.random.pick(file.names), h.random.chance(0.8) ? h.random.pick(other.names) : h.random.pick(names)];
  return both(h, `exchange ${from} ${to}`, () => h.place.calls.exchange(h.at(from), h.at(to)), () => h.model.exchange(file, from, to));
};

/** A descriptor that stays: a file whose last name goes lives on in it. */
const open: Step = async (h) => {
  const file = some(h);
  if (!file || h.model.files.reduce((sum, { held }) => sum + held.length, 0) >= heldMax) return undefined;
  const writes = h.random.chance(0.3);
  const what = `open ${label(file)} ${writes ? "to write" : "to read"}`;
  const fd = await h.place.calls.holdOpen(h.reach(file)!, writes);
  h.log.push(`${what} = ${fd}`);
  if (typeof fd === "string") throw new Error(`${what}: ${fd}`);
  file.held.push({ fd, writes });
  return what;
};

const close: Step = async (h) => {
  const file = rather(h, ({ held }) => held.length > 0, 1);
  if (!file || file.held.length === 0) return undefined;
  const held: Held = h.random.pick(file.held);
  if (file.names.length === 0) await compareFile(h, `before the close of ${label(file)}`, file);
  return both(h, `close ${held.fd} of ${label(file)}`, () => h.place.calls.close(held.fd), () => {
    h.model.close(file, held);
    return 0;
  });
};

export const nameSteps: Steps = [
  ["create", create, 10], ["unlink", unlink, 8], ["link", link, 6], ["rename", rename, 4], ["rename over", renameOver, 4],
  ["exchange", exchange, 2], ["open", open, 6], ["close", close, 4],
];
