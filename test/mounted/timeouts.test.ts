// fs.fuse.default_request_timeout and max_request_timeout (Linux 6.15) end a mount for good when one request takes longer:
// what doctor and mount warn of. The volume is none the worse for it.

import { existsSync, promises as fs, readdirSync } from "node:fs";
import { release } from "node:os";
import path from "node:path";

import { ended, mountSwapfs, pidOf } from "../support/mounted";
import { withCleanup, type Cleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { must, run, swapfs } from "../support/mounted-run";
import { takeTurn } from "../support/turns";

const folder = "/proc/sys/fs/fuse";
/** The kernel looks this often (FUSE_TIMEOUT_TIMER_FREQ, fs/fuse/fuse_i.h), and takes nothing shorter. */
const seconds = 15;

/** The real one, which each mount of the machine takes when it begins: so for no longer than that, while no other test mounts. */
async function withKnob(name: string, work: () => Promise<void>): Promise<void> {
  const knob = path.join(folder, name);
  const endTurn = await takeTurn("request timeouts");
  const before = await fs.readFile(knob, "utf8");
  try {
    await fs.writeFile(knob, `${seconds}\n`);
    await work();
  } finally {
    await fs.writeFile(knob, before);
    await endTurn();
  }
}

/** A kernel that is older has none. */
function knobsOfThisKernel(): string[] {
  const [major, minor] = release().split(".").map(Number) as [number, number];
  return major > 6 || (major === 6 && minor >= 15) ? ["default_request_timeout", "max_request_timeout"] : [];
}

test("a request that takes longer ends the mount, by either of them; mounted again, all is there", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const volumes: Volume[] = [];
    expect((existsSync(folder) ? readdirSync(folder) : []).filter((name) => name.endsWith("timeout")).sort()).toEqual(knobsOfThisKernel());
    for (const knob of knobsOfThisKernel()) {
      const volume = { image: path.join(dir, `${knob}.img`), mnt: path.join(dir, knob) };
      await withKnob(knob, () => mountSwapfs(cleanup, volume.image, volume.mnt, { args: ["--size", "64M"], hasTurn: true }));
      volumes.push(volume);
    }
    // At the same time: the kernel takes up to half a minute.
    await Promise.all(volumes.map((volume) => endsByTimeout(cleanup, volume)));
  }));

interface Volume {
  readonly image: string;
  readonly mnt: string;
}

async function endsByTimeout(cleanup: Cleanup, { image, mnt }: Volume): Promise<void> {
  const file = path.join(mnt, "a");
  const contents = Buffer.alloc(1 << 20, "a");
  await fs.writeFile(file, contents, { flush: true });

  const plane = (await pidOf(mnt, "data plane"))!;
  process.kill(plane, "SIGSTOP");
  cleanup.add("the data plane", () => { try { process.kill(plane, "SIGCONT"); } catch { /* it has ended */ } });
  const read = ["if=" + file, "of=/dev/null", "bs=4k", "count=1", "iflag=direct"];
  expect(await run("dd", read)).toMatchObject({ stderr: expect.stringMatching(/Software caused connection abort/) });
  process.kill(plane, "SIGCONT");
  expect(await run("stat", [file])).toMatchObject({ stderr: expect.stringMatching(/Transport endpoint is not connected/) });
  await must("umount", [mnt]);
  await ended(mnt);

  expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
  await mountSwapfs(cleanup, image, mnt);
  expect((await fs.readFile(file)).equals(contents)).toBe(true);
}
