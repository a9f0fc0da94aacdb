// What two processes do to the same file at the same time: the calls, what the model makes of each, and what they may say when
// they meet the other one in the middle.

import type { Answer } from "../../support/systemcalls";
import type { History } from "./history";
import { page, type ModelFile, type ModelVolume } from "./model";

export interface Call {
  readonly name: string;
  call(worker: History): Promise<Answer>;
  /** Each order of calls has a model of its own, in which files are found by their numbers. */
  model(volume: ModelVolume, h: History): Answer;
  /** Whether it may answer so, having done nothing, because it met `other` in the middle. */
  readonly busy?: (answer: string, other: Sequence) => boolean;
}

/** Of one process, in their order. Without calls: not for this file. */
export interface Sequence {
  readonly name: string;
  readonly calls: readonly Call[];
  /** It has the file open for writing. */
  readonly writes?: boolean;
  /** It judges the file and keeps its blocks, if for a moment. */
  readonly pins?: boolean;
}

/** What the two are about, and another file, which is not kept. */
export interface Pair {
  readonly file: ModelFile;
  readonly other: ModelFile | undefined;
}

type Make = (pair: Pair, h: History) => Sequence;
type Effect = (file: ModelFile, volume: ModelVolume, h: History) => Answer;

const writtenPages = 6;
const heldPages = 24;

/** By number: there as long as it has a name or is pinned. */
function byNumber({ file: { ino } }: Pair, effect: Effect, missing: Answer = "ENOENT"): Call["model"] {
  return (volume, h) => {
    const file = volume.files.find((one) => one.ino === ino);
    return file === undefined ? missing : effect(file, volume, h);
  };
}

function byName(pair: Pair, name: string, effect: Effect): Call["model"] {
  return byNumber(pair, (file, volume, h) => (file.names.includes(name) ? effect(file, volume, h) : "ENOENT"));
}

type Command = "pin" | "unpin" | "activate" | "deactivate" | "prepare";

/** 0, REFUSED by the gate, EBUSY, ENOENT, or what else it says. */
async function asked(worker: History, command: Command, ino: number): Promise<Answer> {
  try {
    for (;;) {
      const { verdict, pagesLeft = 0 } = (await worker.ask({ command, ino })) as { verdict?: { accepted: boolean }; pagesLeft?: number };
      if (verdict?.accepted === false) return "REFUSED";
      if (pagesLeft === 0) return 0;
    }
  } catch (error) {
    const { message } = error as Error;
    if (/was opened for writing by pid|is swapped on|in use as swap/.test(message)) return "EBUSY";
    if (/ENOENT|there is no ino|cannot find ino/.test(message)) return "ENOENT";
    if (/no answer|cannot ask/.test(message)) throw error;
    return `error: ${message}`;
  }
}

type Busy = NonNullable<Call["busy"]>;
const turnedAway: Busy = (answer, other) =>
  answer === "EBUSY" || answer === "ETXTBSY" || answer.startsWith("error: ") || (answer === "REFUSED" && other.writes === true);

const whilePinned: Busy = (answer, other) => answer === "ETXTBSY" && other.pins === true;

function command(pair: Pair, name: Command, effect: Effect, missing?: Answer): Call {
  return { name, call: (worker) => asked(worker, name, pair.file.ino), model: byNumber(pair, effect, missing), busy: turnedAway };
}

const pinEffect: Effect = (file, _, { gate }) => {
  const { error, reasons = [] } = gate.pin(file);
  return error ?? (reasons.length > 0 ? "REFUSED" : 0);
};
const activateEffect: Effect = (file, _, { gate }) => {
  const { error, reasons = [] } = gate.activate(file);
  return error ?? (reasons.length > 0 ? "REFUSED" : 0);
};
const unpinEffect: Effect = (file, volume, { gate }) => (gate.unpin(volume, file) === "EBUSY" ? "EBUSY" : 0);
const deactivateEffect: Effect = (file, volume, { gate }) => (gate.deactivate(volume, file) === "EBUSY" ? "EBUSY" : 0);
const prepareEffect: Effect = (file, volume) => volume.prepare(file);

/** Acknowledged, and so there for good. */
function write(pair: Pair, h: History): Call {
  const name = h.random.pick(pair.file.names);
  const offset = (1 + h.random.below(8)) * page;
  const { stamp, bytes } = h.stamped(writtenPages * page);
  return {
    name: `write ${offset} (write ${stamp})`, busy: whilePinned,
    call: (worker) => worker.place.calls.writeDirect(worker.at(name), offset, bytes.length, stamp),
    model: byName(pair, name, (file, volume) => volume.write(file, offset, bytes)),
  };
}

const punchCall = (pair: Pair, h: History): Call => {
  const name = h.random.pick(pair.file.names);
  const [offset, length] = [h.random.below(10) * page, (1 + h.random.below(20)) * page];
  return {
    name: `punch ${offset} +${length}`, busy: whilePinned,
    call: (worker) => worker.place.calls.fallocate(worker.at(name), 3, offset, length),
    model: byName(pair, name, (file, volume) => volume.fallocate(file, 3, offset, length)),
  };
};

const truncateCall = (pair: Pair, h: History): Call => {
  const name = h.random.pick(pair.file.names);
  const size = h.random.below(10) * page;
  return {
    name: `truncate ${size}`, busy: whilePinned,
    call: (worker) => worker.place.calls.truncate(worker.at(name), size),
    model: byName(pair, name, (file, volume) => volume.truncate(file, size)),
  };
};

const unlinkCall = (pair: Pair, h: History): Call => {
  const name = h.random.pick(pair.file.names);
  return {
    name: `unlink ${name}`, call: (worker) => worker.place.calls.unlink(worker.at(name)),
    model: byName(pair, name, (file, volume) => volume.unlink(file, name)),
  };
};

const unpinCall = (pair: Pair): Call => command(pair, "unpin", unpinEffect, 0); // asked again after a death it may be gone

function cloneCall(pair: Pair, h: History, way: "to" | "from"): Call[] {
  const { file, other } = pair;
  const pages = Math.min(12, Math.floor((way === "to" ? (other?.data.length ?? 0) : file.data.length) / page));
  if (other === undefined || pages === 0) return [];
  const [name, otherName] = [h.random.pick(file.names), h.random.pick(other.names)];
  const bytes = pages * page;
  return [{
    name: `clone ${way} +${bytes}`, busy: whilePinned,
    call: (worker) => {
      const [source, target] = way === "to" ? [otherName, name] : [name, otherName];
      return worker.place.calls.copy(worker.at(source), 0, worker.at(target), 0, bytes);
    },
    model: byName(pair, name, (one, volume) => {
      const two = volume.files.find(({ ino }) => ino === other.ino)!;
      return way === "to" ? volume.copy(two, 0, one, 0, bytes) : volume.copy(one, 0, two, 0, bytes);
    }),
  }];
}

export const calls = {
  pin: (pair) => ({ name: "pin", calls: [command(pair, "pin", pinEffect)], pins: true }),
  unpin: (pair) => ({ name: "unpin", calls: [unpinCall(pair)] }),
  activate: (pair, h) => ({ name: "activate", calls: [command(pair, "activate", activateEffect), write(pair, h)], pins: true, writes: true }),
  activateByXattr: (pair, h) => {
    const name = h.random.pick(pair.file.names);
    const set: Call = {
      name: "setfattr",
      call: (worker) => worker.place.calls.setXattr(worker.at(name), "user.swapfs.activate", "1"),
      model: byName(pair, name, (file, volume, { gate }) => {
        const done = activateEffect(file, volume, { gate } as History);
        return done === "REFUSED" ? "EINVAL" : done;
      }),
      busy: (answer, other) => answer === "EBUSY" || (answer === "EINVAL" && other.writes === true),
    };
    return { name: "setfattr", calls: [set, write(pair, h)], pins: true, writes: true };
  },
  deactivate: (pair) => ({ name: "deactivate", calls: [command(pair, "deactivate", deactivateEffect)] }),
  prepare: (pair) => ({ name: "prepare", calls: [command(pair, "prepare", prepareEffect)] }),
  swapon: (pair, h) => {
    const name = h.random.pick(pair.file.names);
    const stamp = h.nextStamp();
    const on: Call = {
      name: "swapon", call: (worker) => worker.place.calls.swapon(worker.at(name)),
      model: byName(pair, name, (file, _, { gate }) => gate.swapon(file)),
      busy: (answer, other) => answer === "EINVAL" && (other.writes === true || other.pins === true),
    };
    const swap: Call = {
      name: "swap out and in", model: () => 0,
      call: async ({ place }) => {
        await place.calls.hold(stamp, heldPages * page);
        return place.calls.letGo();
      },
    };
    return { name: "swapon", calls: [on, swap], pins: true, writes: true };
  },
  swapoff: (pair, h) => {
    const name = h.random.pick(pair.file.names);
    const off: Call = {
      name: "swapoff", call: (worker) => worker.place.calls.swapoff(worker.at(name)),
      model: byName(pair, name, (file, volume) => volume.swapoff(file)),
    };
    return { name: "swapoff", calls: [off], pins: true }; // until its release is known
  },
  cloneTo: (pair, h) => ({ name: "clone to", calls: cloneCall(pair, h, "to"), writes: true }),
  cloneFrom: (pair, h) => ({ name: "clone from", calls: cloneCall(pair, h, "from") }),
  punch: (pair, h) => ({ name: "punch", calls: [punchCall(pair, h)], writes: true }),
  truncate: (pair, h) => ({ name: "truncate", calls: [truncateCall(pair, h)] }),
  unlink: (pair, h) => ({ name: "unlink", calls: [unlinkCall(pair, h)] }),
  unpinPunch: (pair, h) => ({ name: "unpin, punch", calls: [unpinCall(pair), punchCall(pair, h)], writes: true }),
  unpinTruncate: (pair, h) => ({ name: "unpin, truncate", calls: [unpinCall(pair), truncateCall(pair, h)] }),
  unpinUnlink: (pair, h) => ({ name: "unpin, unlink", calls: [unpinCall(pair), unlinkCall(pair, h)] }),
} satisfies Record<string, Make>;
