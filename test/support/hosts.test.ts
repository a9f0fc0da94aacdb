import { promises as fs } from "node:fs";
import path from "node:path";

import { bytesOnHost, hostFilesystem, hostTypes, overlayHost, tmpfsHost } from "./hosts";
import { withCleanup } from "./mounted-cleanup";
import { leftIn, scratchDir } from "./mounted-devices";

test.each(hostTypes)("hostFilesystem: %s is mounted, holds sparse files, and is gone afterwards", async (type) => {
  const dir = await withCleanup(async (cleanup) => {
    const made = await scratchDir(cleanup);
    const host = await hostFilesystem(cleanup, made, type);
    expect(await fs.readFile("/proc/self/mountinfo", "utf8")).toMatch(new RegExp(` ${host} .* - ${type} `));
    await fs.writeFile(path.join(host, "sparse"), "");
    await fs.truncate(path.join(host, "sparse"), 64 << 20);
    expect(await bytesOnHost(path.join(host, "sparse"))).toBeLessThan(1 << 20);
    expect((await leftIn(made)).length).toBeGreaterThan(0);
    return made;
  });
  await expect(fs.access(dir)).rejects.toMatchObject({ code: "ENOENT" });
});

test("tmpfsHost and overlayHost take files", async () => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const tmpfs = await tmpfsHost(cleanup, dir);
    const overlay = await overlayHost(cleanup, dir, tmpfs);
    await fs.writeFile(path.join(overlay, "a"), "x");
    expect(await fs.readFile(path.join(tmpfs, "upper/a"), "utf8")).toBe("x");
  });
});
