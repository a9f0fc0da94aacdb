// Which rows of a group share a picture: those of one unit that say the same before the first comma.

import type { GroupName, Row } from "./model";

export type Facet = Readonly<ReturnType<typeof facetFrom>>;

const singlesTogether = "";

export function facetsOf(rows: readonly Row[], group: GroupName): Facet[] {
  const own = rows.filter((row) => row.group === group);
  const heads = own.map((row) => `${headOf(row)}\n${measureOf(row)}`);
  const facets = new Map<string, Row[]>();
  own.forEach((row, index) => {
    const alone = heads.filter((head) => head === heads[index]).length === 1;
    const key = `${alone ? singlesTogether : headOf(row)}\n${measureOf(row)}`;
    facets.set(key, [...(facets.get(key) ?? []), row]);
  });
  return [...facets].map(([key, members]) => facetFrom(key.split("\n")[0]!, members));
}

function facetFrom(head: string, members: readonly Row[]) {
  const [{ unit, better, name }] = members as [Row];
  const title = head !== singlesTogether ? head : members.length === 1 ? name : unit === "" ? "counts" : `in ${unit}`;
  return { title, unit, better, rows: members.map((row) => ({ label: head === singlesTogether ? row.name : tailOf(row), row })) };
}

function headOf({ name }: Row): string {
  return name.split(",")[0]!;
}

function tailOf({ name }: Row): string {
  return name.includes(",") ? name.slice(name.indexOf(",") + 1).trim() : name;
}

function measureOf({ unit, better }: Row): string {
  return `${unit}\n${better}`;
}
