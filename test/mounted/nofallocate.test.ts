// Images on hosts that have no fallocate, as NFS before version 4.2: zeros are written instead, and all else is as elsewhere.

import { promises as fs } from "node:fs";
import path from "node:path";

import { expectAccepted, swapfile } from "../support/gate";
import { hostFilesystem, bytesOnHost, type HostType } from "../support/hosts";
import { killAndAwait, mountSwapfs, umount } from "../support/mounted";
import { withCleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { must, run, swapfs } from "../support/mounted-run";

const MiB = 2 ** 20;
const both = ["--allow-cow", "--allow-unmapped-host"];

const hosts: readonly [HostType, readonly string[]][] = [["ext3", []], ["ntfs-3g", both]];

test.each(hosts)("%s: a directory as the source: written, allocated, swapped on, and the same after a remount", (type, overrides) =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const host = await hostFilesystem(cleanup, dir, type);
    const mnt = path.join(dir, "mnt");
    await expect(must("fallocate", ["-l", "1M", path.join(host, "probe")])).rejects.toThrow(/not supported/);
    await mountSwapfs(cleanup, host, mnt, { args: ["--size", "160M", ...overrides] });
    const image = path.join(host, "swapfs.img");
    const before = await bytesOnHost(image);

    const written = path.join(mnt, "written");
    await must("dd", ["if=/dev/urandom", `of=${written}`, "bs=1M", "count=8", "conv=fsync", "status=none"]);
    const contents = await fs.readFile(written);
    const file = await swapfile(mnt, "a");
    await expectAccepted(file);
    expect((await bytesOnHost(image)) - before).toBeGreaterThanOrEqual(16 * MiB);
    await killAndAwait(mnt, "control plane"); // which backs the metadata again: what is there already stays
    await fs.writeFile(path.join(mnt, "after"), "after\n");
    await umount(mnt);

    expect(await swapfs(["fsck", host])).toMatchObject({ status: 0 });
    await mountSwapfs(cleanup, host, mnt, { args: overrides });
    expect((await fs.readFile(written)).equals(contents)).toBe(true);
    expect(await fs.readFile(path.join(mnt, "after"), "utf8")).toBe("after\n");
    await expectAccepted(file);
  }));

test("a host without fallocate that runs full: ENOSPC for who creates, and what is there goes on", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const host = await hostFilesystem(cleanup, dir, "ext3", { bytes: 96 * MiB });
    const mnt = path.join(dir, "mnt");
    await mountSwapfs(cleanup, host, mnt, { args: ["--size", "512M"] });
    const file = await swapfile(mnt, "early");
    await must("dd", ["if=/dev/zero", `of=${path.join(host, "filler")}`, "bs=1M", "status=none"]).catch(() => undefined);
    await must("dd", ["if=/dev/zero", `of=${path.join(host, "rest")}`, "bs=4k", "status=none"]).catch(() => undefined);
    expect(await run("fallocate", ["-l", "32M", path.join(mnt, "late")])).toMatchObject({ status: 1, stderr: expect.stringContaining("No space left") });
    expect(await run("dd", ["if=/dev/zero", `of=${path.join(mnt, "later")}`, "bs=1M", "count=32", "conv=fsync", "status=none"]))
      .toMatchObject({ status: 1, stderr: expect.stringContaining("No space left") });
    await expectAccepted(file);
    await fs.unlink(path.join(host, "filler"));
    await must("dd", ["if=/dev/zero", `of=${path.join(mnt, "later")}`, "bs=1M", "count=8", "conv=fsync", "status=none"]);
  }));
