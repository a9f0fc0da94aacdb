// A file is swapped on in one way at a time: itself, by its block view, or through a loop device over it.

import { realpathSync } from "node:fs";
import { loopsOverFile } from "../../sys/loopswaps";
import type { MountedVolume } from "../common/mounted";
import { failed } from "../common/outcome";
import { shellWord } from "../common/paths";
import type { Target } from "../file/pinning";
import { viewsOf } from "./blockview";
import { areaOn } from "./swapareas";

export type Way = "itself" | "view" | "loop";

const words: Readonly<Record<Way, string>> = { itself: "itself", view: "by its block view", loop: "through a loop device" };

/**
 * Throws a UserError when the file is on in another way than `wanted`: the gate would call it in use, by the process that attached the
 * loop device for example, which is long gone. True: it is on in this one.
 */
export async function requireWay(wanted: Way, file: string, target: Target & { readonly volume: MountedVolume }): Promise<boolean> {
  const found = await wayNow(realpathSync(file), target);
  if (found === undefined || found.way === wanted) return found !== undefined;
  const how = `${words[found.way]}${found.device === undefined ? "" : `, ${found.device},`}`;
  throw failed(`cannot swapon ${file} ${words[wanted]}: it is swapped on ${how} already, run swapfs swapoff ${shellWord(file)} first`);
}

async function wayNow(path: string, { volume, ino }: Target & { readonly volume: MountedVolume }): Promise<{ way: Way; device?: string } | undefined> {
  const view = (await viewsOf(volume)).find((one) => one.ino === ino && one.area !== undefined);
  if (view) return { way: "view", device: view.device };
  const loop = loopsOverFile(path).find(({ area }) => area !== undefined);
  if (loop) return { way: "loop", device: loop.device };
  return (await areaOn(volume, path)) && { way: "itself" };
}
