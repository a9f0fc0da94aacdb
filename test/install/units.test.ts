// The generator: a configuration in, a tree of units out.

import { promises as fs } from "node:fs";
import path from "node:path";

import { generate } from "#src/install/generator";
import { unitsOf } from "#src/install/units";
import { withCleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { filesBelow } from "./support";

const config = `
# two volumes, a swapfile on each
[/mnt/swap]
source = /dev/disk/by-partuuid/1234
options = noexec

[/mnt/swap/a]
size = 8G
priority = 10

[/srv/my swap]
source = /srv/50%.img
[/srv/my swap/b-1]
size = 512 M
`;

const volume = `# Made by swapfs-generator.
[Unit]
Description=swapfs on /mnt/swap
Documentation=man:swapfs.conf(5)
SourcePath=/etc/swapfs.conf

[Mount]
What=/dev/disk/by-partuuid/1234
Where=/mnt/swap
Type=swapfs
Options=nofail,noexec
`;

const swap = `# Made by swapfs-generator.
[Unit]
Description=swap on /mnt/swap/a
Documentation=man:swapfs.conf(5)
SourcePath=/etc/swapfs.conf
Requires=swapfs-create-mnt-swap-a.service
After=swapfs-create-mnt-swap-a.service

[Swap]
What=/mnt/swap/a
Options=nofail
Priority=10
`;

const maker = `# Made by swapfs-generator.
[Unit]
Description=swapfile /mnt/swap/a
Documentation=man:swapfs.conf(5)
SourcePath=/etc/swapfs.conf
DefaultDependencies=no
RequiresMountsFor="/mnt/swap/a"
ConditionPathExists=!/mnt/swap/a
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=oneshot
ExecStart="/usr/bin/swapfs" create "/mnt/swap/a" --size "8G"
`;

test("volumes and swapfiles become units, wanted by local-fs.target and swap.target", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    generate(dir, "/usr/lib/systemd/system-generators/swapfs-generator", config);
    const blank = String.raw`srv-my\x20swap`;
    const file = String.raw`srv-my\x20swap-b\x2d1`;
    expect(await filesBelow(dir)).toEqual([
      "local-fs.target.wants/mnt-swap.mount", `local-fs.target.wants/${blank}.mount`, "mnt-swap-a.swap", "mnt-swap.mount", `${file}.swap`, `${blank}.mount`,
      "swap.target.wants/mnt-swap-a.swap", `swap.target.wants/${file}.swap`, "swapfs-create-mnt-swap-a.service", `swapfs-create-${file}.service`,
    ].sort());
    const read = (name: string): Promise<string> => fs.readFile(path.join(dir, name), "utf8");
    expect(await read("mnt-swap.mount")).toBe(volume);
    expect(await read("swap.target.wants/mnt-swap-a.swap")).toBe(swap);
    expect(await read("swapfs-create-mnt-swap-a.service")).toBe(maker);
    expect(await read(`${blank}.mount`)).toContain("\nWhat=/srv/50%%.img\nWhere=/srv/my swap\nType=swapfs\nOptions=nofail\n");
    expect(await read(`swapfs-create-${file}.service`)).toContain(' create "/srv/my swap/b-1" --size "512 M"\n');
    expect(await read(`${file}.swap`)).not.toContain("Priority");
  }));

test("a unit that a line of fstab has made stays, and all others are made", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const generator = "/usr/lib/systemd/system-generators/swapfs-generator";
    await fs.mkdir(path.join(dir, "local-fs.target.wants"));
    await fs.symlink("../mnt-swap.mount", path.join(dir, "local-fs.target.wants/mnt-swap.mount"));
    await fs.writeFile(path.join(dir, "mnt-swap.mount"), "of fstab");
    generate(dir, generator, "[/mnt/swap]\nsource = /dev/x\n[/mnt/swap/a]\nsize = 8G\n[/mnt/b]\nsource = /dev/y\n");
    expect(await fs.readFile(path.join(dir, "mnt-swap.mount"), "utf8")).toBe("of fstab");
    expect(await filesBelow(dir)).toEqual(expect.arrayContaining(["mnt-b.mount", "mnt-swap-a.swap", "swapfs-create-mnt-swap-a.service", "local-fs.target.wants/mnt-b.mount"]));
  }));

const auto = `# Made by swapfs-generator.
[Unit]
Description=swap that grows by itself on /mnt/a b
Documentation=man:swapfs.conf(5)
SourcePath=/etc/swapfs.conf
BindsTo=mnt-a\\x20b.mount
After=mnt-a\\x20b.mount

[Service]
ExecStart="/usr/bin/swapfs" auto "/mnt/a b" --config /etc/swapfs.conf
KillMode=process
OOMPolicy=continue
Restart=on-failure
SuccessExitStatus=130
`;

test("auto of a volume becomes a service that is started after the mount", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    generate(dir, "/usr/lib/systemd/system-generators/swapfs-generator", "[/mnt/a b]\nsource = /dev/x\nauto = max=8G,keep-free=5%\n");
    const service = String.raw`swapfs-auto-mnt-a\x20b.service`;
    expect(await filesBelow(dir)).toEqual(expect.arrayContaining([service, String.raw`mnt-a\x20b.mount.wants/` + service]));
    expect(await fs.readFile(path.join(dir, service), "utf8")).toBe(auto);
    expect(await fs.readlink(path.join(dir, String.raw`mnt-a\x20b.mount.wants`, service))).toBe(`../${service}`);
  }));

test("without a configuration there is nothing", () => expect(unitsOf("", "/usr/bin/swapfs")).toEqual({ units: new Map(), problems: [] }));

test.each([
  ["[mnt]", /line 1: \[mnt\] is to be the whole path/],
  ["[/mnt/../etc]", /line 1: .*whole path/],
  ["[/a]\nsource = /dev/x\n[/a]", /line 3: \[\/a\] is there twice/],
  ["source = /dev/x", /line 1: a section is to begin first/],
  ["[/a]\nsauce = /dev/x", /line 2: "sauce = \/dev\/x" is none of source, options, auto, size, priority/],
  ["[/a]\nsize = big", /line 2: cannot read size "big": not a size/],
  ["[/a]\nsize = 8G\npriority = high", /line 3: "high" is no priority/],
  ["[/a]\nsource = /dev/x\nsize = 8G", /\[\/a\] needs a source .* or a size/],
  ["[/a]\nsource = /dev/x\nauto = maximum=8G", /line 3: "maximum=8G" is neither yes nor max=, keep-free=/],
  ["[/a]\nsize = 8G\nauto = yes", /\[\/a\] needs a source/],
  ["[/a]\noptions = ro", /\[\/a\] needs a source/],
])("%j is said, and has no unit; all others have theirs", (text, why) => {
  const { units, problems } = unitsOf(`${text}\n[/mnt/good]\nsource = /dev/y\n`, "/usr/bin/swapfs");
  expect([problems.length, problems.join()]).toEqual([1, expect.stringMatching(why)]);
  expect([...units.keys()]).toEqual(["mnt-good.mount", "local-fs.target.wants/mnt-good.mount"]);
});

test.each([
  ["[/mnt/swap]\nsauce = /dev/x", /line 4/], ["[/mnt/swap\nsource = /dev/x", /line 3: "\[\/mnt\/swap" is to end with \]/], ["[/mnt/swap] # big\nsource = /dev/x", /line 3: .*end with \]/],
])("%j: no swapfile is made in the folder that the volume is not mounted on, and the section before it stays", (volume, why) => {
  const { units, problems } = unitsOf(`[/mnt/good]\nsource = /dev/y\n${volume}\n[/mnt/swap/a]\nsize = 8G\n[/mnt/good/b]\nsize = 8G\n`, "/usr/bin/swapfs");
  expect(problems).toEqual([expect.stringMatching(why), expect.stringContaining("[/mnt/swap/a] lies in [/mnt/swap], which cannot be read")]);
  expect([...units.keys()].filter((name) => !name.includes("/"))).toEqual(["mnt-good.mount", "mnt-good-b.swap", "swapfs-create-mnt-good-b.service"]);
});
