// The structs that the data plane and the control plane share: what C++ made of native/abi/*.h against src/dataplane.

import { execFileSync } from "node:child_process";
import path from "node:path";
import * as messages from "#src/dataplane/messages";
import * as session from "#src/dataplane/session";
import { Struct } from "#src/base/struct";

interface Layout {
  readonly name: string;
  readonly size: number;
  readonly fields: Readonly<Record<string, { readonly offset: number; readonly size: number }>>;
}

const printer = path.join(__dirname, "../../native/build/swapfs-print-layout");
const native = new Map((JSON.parse(execFileSync(printer, { encoding: "utf8" })) as Layout[]).map((one) => [one.name, one]));
const ours = [...Object.values(messages), ...Object.values(session)].filter((one) => one instanceof Struct);

test.each(ours.map((struct) => [struct.name, struct] as const))("%s: size and offsets are those of the header", (name, struct) => {
  const layout = native.get(name);
  expect(layout?.size).toBe(struct.size);
  const offsets = Object.fromEntries(Object.entries(layout!.fields).map(([field, { offset }]) => [field, offset]));
  expect(struct.offsets).toEqual(offsets);
});

test("every struct of the headers is declared in src/dataplane", () => {
  expect([...native.keys()].filter((name) => name !== "Session").sort()).toEqual(ours.map(({ name }) => name).sort());
});

test("Session: its parts lie where the header says", () => {
  const { size, fields } = native.get("Session")!;
  const { counters, shards, touched, ring, directories, handles } = session.sessionLayout;
  const at = (field: string): number => fields[field]!.offset;
  expect({
    size, counters: at("counters"), shards: at("shards"), touched: at("touched"), ring: at("ring"), directories: at("directories"),
    handles: at("handles"),
  }).toEqual({ size: session.sessionLayout.size, counters, shards, touched, ring, directories, handles });
});
