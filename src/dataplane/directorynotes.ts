// The control plane's notes about directories in the session segment (native/abi/session.h, DirectoryNotes): the data
// plane answers GETATTR of a directory and LOOKUP of a name that is not there from them.

import { securityCapability, type Change } from "../volume/changes";
import { AttributeSlot, attributeSlots, DirectoryNotes, nameBits, sessionLayout, type Session } from "./session";

interface Named {
  readonly ino: number;
  readonly entries?: ReadonlyMap<string, unknown> | undefined;
  readonly xattrs: { has(name: string): boolean };
}

const fnvPrime = 16777619;

/** Of a latin1 name. native/dataplane/directory_notes.cc has the same. */
export function nameBit(parent: number, name: string): number {
  let hash = Math.imul(2166136261 ^ (parent >>> 0), fnvPrime);
  hash = Math.imul(hash ^ Math.floor(parent / 2 ** 32), fnvPrime);
  for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), fnvPrime);
  return ((hash ^ (hash >>> 15)) >>> 0) % nameBits;
}

export class DirectoryNotesWriter {
  /** ready, no_capabilities */
  readonly #flags: Int32Array;
  readonly #names: Uint8Array;
  readonly #slots: Buffer;
  readonly #sequences: Int32Array;
  /** fuse_attr_out of a directory as it is now */
  readonly #attributes: (ino: number) => Uint8Array | undefined;

  constructor(session: Session, attributes: (ino: number) => Uint8Array | undefined) {
    const { offsets } = DirectoryNotes;
    const at = sessionLayout.directories;
    this.#flags = new Int32Array(session.buffer, at + offsets.ready, 2);
    this.#names = new Uint8Array(session.buffer, at + offsets.names, nameBits / 8);
    this.#slots = Buffer.from(session.buffer, at + offsets.attributes, attributeSlots * AttributeSlot.size);
    this.#sequences = new Int32Array(session.buffer, at + offsets.attributes, attributeSlots * AttributeSlot.size / 4);
    this.#attributes = attributes;
  }

  /** Of a volume that was opened: a control plane that died may have left attributes behind that are true no more. */
  begin(inodes: Iterable<Named>): void {
    for (let slot = 0; slot < attributeSlots; slot += 1) this.#write(slot, 0, undefined);
    let capabilities = false;
    for (const { ino, entries, xattrs } of inodes) {
      for (const name of entries?.keys() ?? []) this.#add(ino, name);
      capabilities ||= xattrs.has(securityCapability);
    }
    Atomics.store(this.#flags, 0, 1);
    Atomics.store(this.#flags, 1, capabilities ? 0 : 1);
  }

  /** Before a commit: from now on nobody says that its names, or capabilities, are not there. */
  expect(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind === "put-entry") this.#add(change.parent, change.name);
      else if (change.kind === "put-xattr" && change.name === securityCapability) Atomics.store(this.#flags, 1, 0);
    }
  }

  /** After a commit, before its reply. */
  happened(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind !== "put-inode" && change.kind !== "drop-inode") continue;
      const attributes = this.#attributes(change.ino);
      const slot = change.ino % attributeSlots;
      if (attributes !== undefined) this.#write(slot, change.ino, attributes);
      else if (change.kind === "drop-inode" && this.#inoAt(slot) === change.ino) this.#write(slot, 0, undefined);
    }
  }

  #add(parent: number, name: string): void {
    const bit = nameBit(parent, name);
    Atomics.or(this.#names, bit >>> 3, 1 << (bit & 7));
  }

  #inoAt(slot: number): number {
    return Number(this.#slots.readBigUInt64LE(slot * AttributeSlot.size + AttributeSlot.offsets.ino));
  }

  #write(slot: number, ino: number, attributes: Uint8Array | undefined): void {
    const at = slot * AttributeSlot.size;
    const sequence = Atomics.load(this.#sequences, at / 4) | 1; // odd already where a control plane died here
    Atomics.store(this.#sequences, at / 4, sequence);
    this.#slots.writeBigUInt64LE(BigInt(ino), at + AttributeSlot.offsets.ino);
    if (attributes !== undefined) this.#slots.set(attributes, at + AttributeSlot.offsets.attr_out);
    Atomics.store(this.#sequences, at / 4, sequence + 1);
  }
}
