// A control plane that dies after a write has taken set-id bits away, before the kernel knows: it must not go on to let others run
// the file as its owner.

import { promises as fs } from "node:fs";

import { mountSwapfs } from "../support/mounted";
import { imageUnderTest } from "../support/mounted-image";
import { must, run } from "../support/mounted-run";
import { Slowness } from "../support/slowness";

const volume = imageUnderTest();

test("a write by somebody else, its control plane dead before the notification: the next look at the mode alone sees it", async () => {
  const slow = await Slowness.make(volume.dir);
  await slow.during(() => mountSwapfs(volume.cleanup, volume.image, volume.mountpoint, { args: ["--size", "32M"] }));
  const file = volume.at("f");
  const mode = async (): Promise<string> => (await must("stat", ["-c", "%a", file])).trim();
  await fs.writeFile(file, "x");
  await fs.chmod(file, 0o6777);
  expect(await mode()).toBe("6777");
  await slow.set({ notify: { ms: 1 } });
  const written = run("sh", ["-c", `echo y >>"$0"`, file], { uid: 65534 });
  await slow.begun("notify");
  await slow.clear();
  expect(await written).toMatchObject({ status: 0 });
  expect(await mode()).toBe("777");
  expect(await fs.readFile(file, "utf8")).toBe("xy\n");
});
