// What a person meets first: help, the version, and a command line that is wrong.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { projectDir, run, swapfs } from "../support/mounted-run";
import { commands, withCommand } from "#src/cli/program";
import { readVersion } from "#src/sys/version";

const names = commands.map((entry) => entry.name);

test.each(names)("swapfs %s --help shows usage, an example and the exit codes", async (name) => {
  const done = await swapfs([name, "--help"]);
  expect(done.status).toBe(0);
  expect(done.stderr).toBe("");
  expect(done.stdout).toContain(`Usage: swapfs ${name}`);
  expect(done.stdout).toMatch(/Examples?:\n  swapfs /);
  expect(done.stdout).toMatch(/Exit|exit/);
});

test("swapfs --help names every command and every exit code", async () => {
  const { status, stdout } = await swapfs(["--help"]);
  expect(status).toBe(0);
  for (const name of names) expect(stdout).toMatch(new RegExp(`^  ${name} `, "m"));
  for (const code of [0, 2, 10, 11, 12, 70]) expect(stdout).toMatch(new RegExp(`\\b${code} \\w+`));
});

test("--help says --block of swapon; ./mount.sh --help has its own words as well, and shows them of each without doing it", async () => {
  expect((await swapfs(["--help"])).stdout).toMatch(/^ {2}swapon .*--block/m);
  const script = join(projectDir, "mount.sh");
  const own = /--setup[^]*--install[^]*--uninstall[^]*--package/;
  const node = { env: { PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` } };
  expect(await run(script, ["--help"], node)).toEqual({ status: 0, stderr: "", stdout: expect.stringMatching(new RegExp(`^Usage: swapfs[^]*${own.source}`)) });
  for (const word of ["--setup", "--install", "--uninstall", "--package"]) {
    expect(await run(script, [word, "--help"])).toEqual({ status: 0, stderr: "", stdout: expect.stringMatching(own) });
  }
});

test("commands that report something have --json", async () => {
  for (const name of ["mount", "umount", "create", "prepare", "check", "pin", "unpin", "activate", "deactivate", "swapon", "swapoff", "auto", "status", "fsck", "doctor", "pressure", "demo", "bench"]) {
    expect((await swapfs([name, "--help"])).stdout).toContain("--json");
  }
});

test("swapfs help COMMAND is the command's help", async () => {
  const [asked, given] = await Promise.all([swapfs(["help", "check"]), swapfs(["check", "--help"])]);
  expect(asked.stdout).toBe(given.stdout);
});

test("--version is package.json's, with the commit that was built", async () => {
  const { version } = require(`${projectDir}/package.json`) as { version: string };
  expect(readVersion().commit).toMatch(existsSync(join(projectDir, ".git")) ? /^[0-9a-f]{7,}\+?$/ : /./);
  expect(await swapfs(["--version"])).toEqual({ status: 0, stdout: `${version} (${readVersion().commit})\n`, stderr: "" });
  for (const words of [["--version", "--json"], ["--json", "--version"]]) expect(JSON.parse((await swapfs(words)).stdout)).toEqual(readVersion());
});

test("a tarball of git archive has its commit in the code", async () => {
  const folder = mkdtempSync(join(tmpdir(), "swapfs-archive-"));
  const archived = await run("sh", ["-euc", `cd "$1"; cp --parents .gitattributes src/sys/version.ts "$2"; cd "$2"; git init -q; git add .
    git -c user.name=a -c user.email=a@b commit -qm a; git archive HEAD src/sys/version.ts | tar -xO`, "sh", projectDir, folder]);
  rmSync(folder, { recursive: true });
  expect(archived.stdout).toMatch(/^const archived = "[0-9a-f]{7,}";$/m);
});

test("without git, and without a file of its own, a commit is unknown", () => {
  const folder = mkdtempSync(join(tmpdir(), "swapfs-version-"));
  writeFileSync(join(folder, "package.json"), '{"version": "1.2.3"}');
  const unbuilt = readVersion(folder);
  mkdirSync(join(folder, "dist"));
  writeFileSync(join(folder, "dist", "commit"), "1a2b3c4+\n");
  expect([unbuilt, readVersion(folder)]).toEqual([{ version: "1.2.3", commit: "unknown" }, { version: "1.2.3", commit: "1a2b3c4+" }]);
  rmSync(folder, { recursive: true });
});

describe("a wrong command line exits with 2, says what is wrong, and prints nothing on stdout", () => {
  test.each<[string, string[], RegExp]>([
    ["no command", [], /no command given/],
    ["a misspelt command", ["statsu"], /unknown command 'statsu'[^]*Did you mean status/],
    ["an unknown option", ["status", "--nope"], /unknown option '--nope'/],
    ["a missing argument", ["mount", "/srv/swap"], /missing required argument 'mountpoint'/],
    ["one argument too many", ["check", "a", "b"], /too many arguments/],
    ["a source alone", ["/srv/swap"], /missing required argument 'mountpoint'/],
    ["a size that is not a number", ["mount", "/srv/swap", "/mnt", "--size", "twenty"], /cannot read --size "twenty"/],
    ["a size of nothing", ["create", "/mnt/a", "--size", "0"], /cannot read --size "0"/],
    ["a swapfile of one page", ["create", "/mnt/a", "--size", "4096"], /at least 10 pages/],
    ["no size", ["create", "/mnt/a"], /required option '--size/],
    ["a priority without --on", ["create", "/mnt/a", "--size", "1M", "--priority", "5"], /without --on/],
    ["a priority that is not a number", ["create", "/mnt/a", "--size", "1M", "--on", "--priority", "x"], /cannot read --priority/],
    ["--force without --format", ["mount", "/srv/swap", "/mnt", "--force"], /cannot use --force alone/],
    ["an unknown engine", ["mount", "/srv/swap", "/mnt", "--engine", "steam"], /cannot use the engine "steam"/],
    ["a benchmark that there is not", ["bench", "nothing"], /Allowed choices/],
    ["a device without consent", ["bench", "--device", "/dev/sdb"], /--destroy/],
  ])("%s", async (_, args, message) => {
    const done = await swapfs(args);
    expect({ status: done.status, stdout: done.stdout }).toEqual({ status: 2, stdout: "" });
    expect(done.stderr).toMatch(message);
  });
});

test("an internal error exits with 70, with its stack only under DEBUG", async () => {
  const broken = { NODE_OPTIONS: `--require ${projectDir}/test/support/broken-mountinfo.cjs` };
  const quiet = await swapfs(["status"], { env: broken });
  const loud = await swapfs(["status"], { env: { ...broken, DEBUG: "swapfs:cli" } });
  expect([quiet.status, loud.status]).toEqual([70, 70]);
  expect(quiet.stderr).toMatch(/^swapfs: internal error: broken on purpose/);
  expect(quiet.stderr).not.toMatch(/^ +at /m);
  expect(loud.stderr).toMatch(/^ +at /m);
});

test("dist/cli/main.js is a program", async () => {
  const path = `${dirname(process.execPath)}:${process.env["PATH"]}`;
  const done = await run(`${projectDir}/dist/cli/main.js`, ["help", "status"], { env: { PATH: path } });
  expect(done).toMatchObject({ status: 0, stdout: expect.stringContaining("Usage: swapfs status") });
});

test("a reader that hangs up is no error", async () => {
  const done = await run("sh", ["-c", `"${process.execPath}" "${projectDir}/dist/cli/main.js" --help | head -1`]);
  expect(done).toMatchObject({ status: 0, stderr: "" });
});

describe("withCommand", () => {
  test.each<[string[], string[]]>([
    [["/srv/swap", "/mnt/swap"], ["mount", "/srv/swap", "/mnt/swap"]],
    [["disk.img", "mnt", "--size", "20G"], ["mount", "disk.img", "mnt", "--size", "20G"]],
    [["--format", "/dev/sdb1", "/mnt"], ["mount", "--format", "/dev/sdb1", "/mnt"]],
    [["--demo"], ["demo"]],
    [["--demo", "--json"], ["demo", "--json"]],
    [["mount", "--demo"], ["demo"]],
    [["./demo", "/mnt"], ["mount", "./demo", "/mnt"]],
    [["status", "/mnt"], ["status", "/mnt"]],
    [["umount", "/mnt", "--swapoff"], ["umount", "/mnt", "--swapoff"]],
    [["--help"], ["--help"]],
    [["statsu"], ["statsu"]],
    [[], []],
  ])("%j is %j", (given, wanted) => expect(withCommand(given)).toEqual(wanted));
});

test("only the module of the command is loaded", async () => {
  const list = `require(${JSON.stringify(`${projectDir}/dist/cli/program.js`)}).run(["doctor", "--help"]).then(() =>
    process.stderr.write(Object.keys(require.cache).join("\\n")))`;
  const { stderr } = await run(process.execPath, ["-e", list]);
  expect(stderr).toContain("dist/cli/status/doctor.js");
  expect(stderr).not.toMatch(/dist\/(volume|ops|engine|bench|dataplane)\//);
});
