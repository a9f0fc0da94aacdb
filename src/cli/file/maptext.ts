// A file's map for a person.

import { formatByteLength, pageSize } from "../../base/units";
import type { FileMap, MappedPiece } from "../../engine/native/mapcommand";
import type { MountedVolume } from "../common/mounted";
import { table } from "../../base/table";
import type { Resume } from "./resume";

const rowsShown = 200;

export function mapLines(file: string, { device, image }: MountedVolume, map: FileMap, resume: Resume): string[] {
  const count = map.extents.length;
  return [
    `${file}: ${formatByteLength(map.size)}, ${count} ${count === 1 ? "extent" : "extents"} on ${device} (pages of ${pageSize} bytes)`,
    ...shown([["file page", "device page", "pages", "state"], ...map.extents.map((one) => (
      [one.filePage, one.devicePage, one.count, one.state]))]),
    ...(map.image === undefined ? [] : imageLines(image ?? device, map.image)),
    ...("offset" in resume
      ? [`to hibernate: resume=${resume.device} resume_offset=${resume.offset}`]
      : [`no resume offset: ${resume.none}`]),
  ];
}

function imageLines(image: string, { host, pieces, error }: NonNullable<FileMap["image"]>): string[] {
  if (pieces === undefined) return [`${image} on ${host}: it does not say where the image lies (FIEMAP: ${error ?? "?"})`];
  return [
    `below it, ${image} on ${host} (in bytes of the file, the image and the host's device)`,
    ...shown([["file", "image", "host", "length", "flags"], ...pieces.map(row)]),
  ];
}

function row({ offset, image, host, length, flags }: MappedPiece): (string | number)[] {
  return [offset, image, host ?? "hole", length, flags.join(",")];
}

function shown(rows: readonly (readonly (string | number)[])[]): string[] {
  const lines = table(rows.slice(0, rowsShown + 1)).map((line) => `  ${line}`);
  return rows.length > rowsShown + 1 ? [...lines, `  and ${rows.length - rowsShown - 1} more (--json shows all)`] : lines;
}
