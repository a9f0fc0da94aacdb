// The control plane of the native engine, put together: volume, session, data plane, operations.

import fs from "node:fs";
import path from "node:path";
import { activate } from "../../activation/activate";
import type { HostAllowances } from "../../activation/imagelayer";
import { Refusals } from "../../activation/refusals";
import { messageOf } from "../../base/errors";
import { debugLog, logLine } from "../../base/log";
import { adoptLeases } from "../../blocks/block-view";
import { FileSystem } from "../../blocks/filesystem";
import { endUnreachable } from "../../blocks/pin";
import type { WriteInFlight } from "../../blocks/write-in-flight";
import { ablationWarning } from "../../dataplane/ablation";
import { AsksInFlight } from "../../dataplane/asks";
import { Channel, type SocketCalls } from "../../dataplane/channel";
import { relayedLatency, touchedTimes } from "../../dataplane/counters";
import { DirectoryNotesWriter } from "../../dataplane/directorynotes";
import { SharedHandleTable } from "../../dataplane/handletable";
import { DataPlaneLink } from "../../dataplane/link";
import { InstalledMaps } from "../../dataplane/maps";
import { NativeDataPort } from "../../dataplane/nativeport";
import { OrderedReplies } from "../../dataplane/replies";
import { WriteRing } from "../../dataplane/ring";
import { Session, sessionLayout } from "../../dataplane/session";
import { isDirectory } from "../../namespace/modes";
import { dispatch } from "../../ops/table";
import { addon } from "../../sys/addon";
import { bootNumber } from "../../sys/kernel";
import type { Inode } from "../../volume/inode";
import { betweenTurns } from "../../volume/journaling";
import { Volume } from "../../volume/volume";
import { opcodes } from "../../wire/opcodes";
import { attrReply, outHeaderBytes } from "../../wire/reply";
import type { ControlSocket } from "../control-socket";
import { BlockViews, viewDevicesOf } from "./blockviews";
import type { Environment } from "./environment";
import { imageWatch } from "./imagewatch";
import { openDevice } from "./opendevice";
import { RequestLoop } from "./requests";
import { writeStateFile } from "./statefile";
import { makeSurroundings } from "./surroundings";

const log = debugLog("engine");

/** A crash of the machine loses at most this much that no fsync asked for. */
const flushMs = 5000;

/** After a deletion on an image, or on a device that takes discards: they follow a flush, and `du` is looked at. */
const reclaimMs = 200;

/** The keeper and the data plane end after FUSE_DESTROY, and with them the socket; this is for when they do not. */
const lingerMs = 5000;

export class Engine {
  readonly #env: Environment;
  readonly #session: Session;
  readonly #handles: SharedHandleTable;
  readonly #fs: FileSystem;
  readonly #views: BlockViews;
  readonly #requests: RequestLoop;
  readonly #link: DataPlaneLink<WriteInFlight>;
  readonly #ready: () => void;
  readonly #lookAtImage: () => string[];
  #flush: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #socket: ControlSocket | undefined;
  #listening: Promise<void> | undefined;
  #destroyed = false;

  /** Opens and replays the volume. Throws a UserError when it cannot be. `ready`: the mount answers, and so does the control socket. */
  constructor(env: Environment, allow: HostAllowances, ready: () => void) {
    this.#env = env;
    this.#ready = ready;
    this.#session = new Session(addon().mapShared(env.sessionFd, sessionLayout.size));
    const device = openDevice(env.device, env.lockFd);
    this.#lookAtImage = imageWatch(device, env.lockFd);
    const volume = Volume.open(device, {
      boot: bootNumber(), steps: betweenTurns, ...(device.discardAsync ? { released: () => this.#flushSoon() } : {}),
    });
    for (const warning of [...volume.warnings, ...ablationWarning(env.ablated)]) logLine(warning);
    this.#handles = new SharedHandleTable(this.#session);
    const channel = new Channel(socketCalls(env.controlFd));
    const asks = new AsksInFlight<WriteInFlight>();
    const maps = new InstalledMaps(channel);
    const port = new NativeDataPort({
      sink: channel, maps, asks, handles: this.#handles, takeTouched: touchedTimes(this.#session), ring: new WriteRing(this.#session),
      inode: (ino) => volume.inode(ino), notify: (raw) => this.#notify(raw),
    });
    const directories = new DirectoryNotesWriter(this.#session, (ino) => directoryAttributes(volume.inode(ino)));
    directories.begin(volume.inodes());
    this.#fs = new FileSystem({
      directories,
      volume, handles: this.#handles, data: port, session: this.#session.header().session, refusals: new Refusals(), activate, ablated: env.ablated,
      surroundings: makeSurroundings(env.device, env.lockFd, allow),
      noteChanges: (changes) => port.noteChanges(changes), destroyed: () => this.#release(), endGoneViews: () => this.#views.look(),
    });
    adoptLeases(this.#fs);
    this.#views = new BlockViews(this.#fs, viewDevicesOf(this.#fs, env.device, env.lockFd));
    const replies = new OrderedReplies(maps, (raw) => this.#write(raw));
    this.#requests = new RequestLoop({
      dispatch: (raw) => dispatch(this.#fs, raw), reply: (reply) => replies.send(reply),
      replyToDestroy: (raw) => this.#link.relayReply(raw), destroy: () => this.#destroy(), answered: (opcode) => void (opcode === opcodes.init.code && this.#listening?.then(this.#ready)),
      took: relayedLatency(this.#session),
    });
    this.#link = new DataPlaneLink({
      session: this.#session, channel, asks, maps, port, replies, mapping: this.#fs.mapping, ringHalf: () => this.#fs.grants.drain(),
      request: (raw) => this.#requests.receive(raw), ready: () => this.#begin(), closed: () => this.#closed(),
    });
  }

  start(): void {
    const { control_generation: generation } = this.#session.header();
    if (generation > 1) logLine(`control plane started, generation ${generation}`);
    this.#link.start();
  }

  // No request has been carried out yet, and none that the data plane holds knows a block of an orphan.
  #begin(): void {
    // A control plane that died may have taken a mode's bits away and not told: the write that is sent again cannot know. First
    // of all that is given to other threads, so that no answer overtakes it.
    for (const ino of this.#handles.openInodes()) void this.#fs.data.invalidateAttributes(ino);
    this.#fs.grants.drain(); // of a control plane that died: before any block is given out
    this.#fs.freeOrphans();
    void this.#views.look();
    for (const ino of this.#fs.volume.orphans()) void endUnreachable(this.#fs, ino);
    this.#fs.volume.sweep();
    this.#flush ??= setInterval(() => this.#flushNow(), flushMs);
    this.#listening ??= new Promise((resolve) => setImmediate(() => resolve(this.#listen())));
  }

  async #listen(): Promise<void> {
    try {
      writeStateFile(this.#env, this.#session);
      // Loaded now, and not before the first request is answered: a program may be waiting for us.
      const { makeCommands } = require("./commands") as typeof import("./commands");
      const { hostImageOf } = require("./preparecommand") as typeof import("./preparecommand");
      const { peerOf } = require("../../sys/peer") as typeof import("../../sys/peer");
      const { ControlSocket } = require("../control-socket") as typeof import("../control-socket");
      this.#socket = new ControlSocket({
        path: path.join(this.#env.runDir, "control.sock"),
        peer: peerOf,
        commands: makeCommands({
          fs: this.#fs, handles: this.#handles, mountpoint: this.#env.mountpoint, lookAtImage: this.#lookAtImage,
          views: this.#views, pendingRequests: () => this.#requests.pending, image: hostImageOf(this.#fs.volume.device, this.#fs.surroundings),
        }),
      });
      await this.#socket.listen();
    } catch (error) {
      logLine(`cannot serve questions in ${this.#env.runDir}: ${messageOf(error)}; status and check will not work`);
    }
  }

  #flushSoon(): void {
    this.#soon ??= setTimeout(() => this.#flushNow(), reclaimMs).unref();
  }

  #flushNow(): void {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    if (this.#destroyed) return;
    this.#lookAtImage();
    this.#fs.applyTouched();
    void this.#views.lookAtTimes();
    this.#fs.volume.flush().catch((error: unknown) => logLine(`cannot flush: ${messageOf(error)}`));
  }

  #destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    clearInterval(this.#flush);
    setTimeout(() => process.exit(0), lingerMs).unref();
    this.#views.endGone();
    this.#fs.destroy();
  }

  // The next mount of this source need not wait until the keeper, which holds the lock as well, has ended.
  #release(): void {
    if (this.#env.lockFd < 0) return;
    const { unlock } = require("../../sys/unlock") as typeof import("../../sys/unlock");
    unlock(this.#env.lockFd);
  }

  #closed(): void {
    log("the socket to the data plane is closed");
    try {
      this.#destroy();
    } catch (error) {
      logLine(`cannot close the volume in order: ${messageOf(error)}; the next mount replays its journal`);
    }
    process.exit(0);
  }

  // As the data plane does it: ENOENT is a request that the kernel sends again, or whose program is gone; ENODEV the end.
  #write(raw: Uint8Array): boolean {
    try {
      addon().write(this.#env.fuseFd, raw);
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT" && code !== "ENODEV") logLine(`cannot reply to the kernel: ${messageOf(error)}`);
      return code !== "ENOENT";
    }
  }

  // Not through the data plane and not in this thread: fuse_reverse_inval_inode (fs/fuse/inode.c) may sleep on a page that
  // is being read, and that read may be waiting for either.
  #notify(raw: Buffer): Promise<void> {
    return new Promise((resolve) => {
      fs.write(this.#env.fuseFd, raw, (error) => {
        if (error && error.code !== "ENOENT") log("notification: %s", error.message);
        resolve();
      });
    });
  }
}

/** fuse_attr_out, as GETATTR answers it. */
function directoryAttributes(inode: Inode | undefined): Uint8Array | undefined {
  if (inode === undefined || !isDirectory(inode)) return undefined;
  return attrReply({ unique: 0n, resent: false }, inode).subarray(outHeaderBytes);
}

export function socketCalls(fd: number): SocketCalls {
  const native = addon();
  return {
    receive: (buffer, lengths) => native.recvMessages(fd, buffer, lengths),
    send: (messages) => {
      if (messages.length === 1) native.sendMessage(fd, messages[0]!);
      else native.sendMessages(fd, messages);
    },
    watch: (readable) => native.watch(fd, readable),
    unwatch: () => native.unwatch(fd),
  };
}
