import { DirectoryNotesWriter, nameBit } from "#src/dataplane/directorynotes";
import { AttributeSlot, attributeSlots, DirectoryNotes, makeSession, sessionLayout } from "#src/dataplane/session";
import type { Change } from "#src/volume/changes";

function fixture() {
  const session = makeSession();
  const attributes = new Map<number, Uint8Array>();
  const notes = new DirectoryNotesWriter(session, (ino) => attributes.get(ino));
  const at = (field: "attributes" | "names" | "ready"): number => sessionLayout.directories + DirectoryNotes.offsets[field];
  const slot = (ino: number) => AttributeSlot.decode(Buffer.from(session.buffer, at("attributes") + (ino % attributeSlots) * AttributeSlot.size, AttributeSlot.size));
  const mayBe = (parent: number, name: string): boolean => {
    const bit = nameBit(parent, name);
    return (Buffer.from(session.buffer, at("names"))[bit >>> 3]! & (1 << (bit & 7))) !== 0;
  };
  const flags = (): number[] => [...new Uint32Array(session.buffer, at("ready"), 2)];
  return { session, attributes, notes, slot, mayBe, flags };
}

const none = new Set<string>();
const put = (parent: number, name: string): Change => ({ kind: "put-entry", parent, name, ino: 9, type: 8 });
const changed = (ino: number): Change => ({ kind: "put-inode", ino, attributes: {} as never });

test("DirectoryNotesWriter: a name may be there from before its commit on, and every name of the volume is", () => {
  const { notes, mayBe, flags } = fixture();
  expect(flags()).toEqual([0, 0]);
  notes.begin([{ ino: 1, entries: new Map([["a", {}], ["caf\u00c3\u00a9", {}]]), xattrs: none }, { ino: 5, xattrs: none }]);
  expect([flags(), mayBe(1, "a"), mayBe(1, "caf\u00c3\u00a9"), mayBe(1, "b"), mayBe(2, "a")]).toEqual([[1, 1], true, true, false, false]);
  notes.expect([changed(1), put(1, "b")]);
  expect(mayBe(1, "b")).toBe(true);
});

test("DirectoryNotesWriter: one capability anywhere, and the control plane is asked from before its commit on", () => {
  const { notes, flags } = fixture();
  notes.begin([{ ino: 1, xattrs: none }]);
  notes.expect([{ kind: "put-xattr", ino: 1, name: "user.a", value: Buffer.alloc(1) }]);
  expect(flags()[1]).toBe(1);
  notes.expect([{ kind: "put-xattr", ino: 1, name: "security.capability", value: Buffer.alloc(20) }]);
  expect(flags()[1]).toBe(0);
  notes.begin([{ ino: 1, xattrs: new Set(["security.capability"]) }]);
  expect(flags()[1]).toBe(0);
});

test("DirectoryNotesWriter: attributes follow each commit and end with the directory", () => {
  const { notes, attributes, slot } = fixture();
  attributes.set(7, new Uint8Array(104).fill(1));
  notes.happened([changed(7), changed(8)]); // 8 is no directory
  expect(slot(7)).toMatchObject({ sequence: 2, ino: 7n, attr_out: Buffer.alloc(104, 1) });
  attributes.set(7, new Uint8Array(104).fill(2));
  notes.happened([changed(7)]);
  expect(slot(7)).toMatchObject({ sequence: 4, ino: 7n, attr_out: Buffer.alloc(104, 2) });
  attributes.clear();
  notes.happened([{ kind: "drop-inode", ino: 7 + attributeSlots }]); // another one's slot
  expect(slot(7).ino).toBe(7n);
  notes.happened([{ kind: "drop-inode", ino: 7 }]);
  expect(slot(7)).toMatchObject({ sequence: 6, ino: 0n });
});

test("DirectoryNotesWriter: what a control plane left half written is forgotten by the next one", () => {
  const { session, notes, attributes, slot } = fixture();
  attributes.set(7, new Uint8Array(104).fill(1));
  notes.happened([changed(7)]);
  const words = new Uint32Array(session.buffer, sessionLayout.directories + DirectoryNotes.offsets.attributes, attributeSlots * 32);
  words[7 * 32] = 3;
  new DirectoryNotesWriter(session, () => undefined).begin([]);
  expect(slot(7)).toMatchObject({ sequence: 4, ino: 0n });
});

// The data plane answers from the same hash: test/mounted/grants.test.ts sees it agree on real names.
test("nameBit: spreads names of one folder", () => {
  const bits = new Set(Array.from({ length: 10_000 }, (_, n) => nameBit(2, `file-${n}`)));
  expect(bits.size).toBeGreaterThan(9_800);
});
