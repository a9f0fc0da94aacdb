// Modes, owners, times, extended attributes, as root and as somebody else.

import { promises as fs } from "node:fs";
import path from "node:path";

import { syscall } from "../../support/mounted-syscall";
import { must, run, sh, sleep } from "../../support/mounted-run";
import { modeOf, outcome, type Case } from "./case";

const nobody = 65534;

const noCaller = "fuse-native does not tell who calls: what is created belongs to root";
const millisecondTimes = "fuse-native hands times over in milliseconds, and the access time for both";
const oneTime = "libfuse 2 without utime_omit_ok drops a change of one time alone";

/** "0", or what the program said, as nobody. */
async function asNobody(dir: string, script: string): Promise<string> {
  const done = await run("sh", ["-c", `cd "$D" && ${script}`], { uid: nobody, env: { D: dir } });
  return done.status === 0 ? done.stdout.trim() || "ok" : (/: ([A-Z][a-z -]+)$/m.exec(done.stderr)?.[1] ?? done.stderr);
}

export const attributeCases: readonly Case[] = [
  {
    name: "modes: create honours umask, chmod sets all twelve bits",
    run: async ({ dir }) => {
      await sh(`cd "$D"; umask 027; touch f; mkdir d; (umask 0; touch open)`, { env: { D: dir } });
      const made = [await modeOf(path.join(dir, "f")), await modeOf(path.join(dir, "d")), await modeOf(path.join(dir, "open"))];
      await fs.chmod(path.join(dir, "f"), 0o6751);
      await fs.chmod(path.join(dir, "d"), 0o1770);
      return [...made, await modeOf(path.join(dir, "f")), await modeOf(path.join(dir, "d"))];
    },
    expect: ["640", "750", "666", "6751", "1770"],
  },
  {
    name: "somebody else: files and directories without permission",
    run: async ({ dir }) => {
      await sh(`cd "$D"; echo secret >f; chmod 600 f; mkdir closed; touch closed/x; chmod 700 closed; mkdir readonly; chmod 755 readonly; echo all >open; chmod 666 open`, { env: { D: dir } });
      return {
        read: await asNobody(dir, "cat f"), write: await asNobody(dir, "dd if=/dev/zero of=f count=1 conv=notrunc status=none"), list: await asNobody(dir, "ls closed"),
        through: await asNobody(dir, "cat closed/x"), create: await asNobody(dir, "mkdir readonly/x"),
        chmod: await asNobody(dir, "chmod 777 open"), chown: await asNobody(dir, "chown 65534 open"),
        readOpen: await asNobody(dir, "cat open"), utime: await asNobody(dir, "touch open"),
        setTime: await asNobody(dir, "touch -d 2001-01-01 open"), rename: await asNobody(dir, "mv -T readonly renamed"),
      };
    },
    expect: {
      read: "Permission denied", write: "Permission denied", list: "Permission denied", through: "Permission denied",
      create: "Permission denied", chmod: "Operation not permitted", chown: "Operation not permitted", readOpen: "all", utime: "ok",
      setTime: "Operation not permitted", rename: "ok",
    },
  },
  {
    name: "a write by somebody else takes set-id bits away, and the next look sees it",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, Buffer.alloc(8192, "x"));
      const seen: string[] = [];
      for (const part of ["count=1 bs=1", "count=1 bs=4096", "count=1 bs=4096 oflag=append"]) {
        await fs.chmod(file, 0o6777);
        seen.push(await modeOf(file), await asNobody(dir, `dd if=/dev/zero of=f conv=notrunc status=none ${part}`), await modeOf(file));
      }
      return seen;
    },
    expect: ["6777", "ok", "777", "6777", "ok", "777", "6777", "ok", "777"],
  },
  {
    name: "a sticky directory keeps others' files",
    run: async ({ dir }) => {
      await fs.chmod(dir, 0o1777);
      await fs.writeFile(path.join(dir, "roots"), "");
      return [await asNobody(dir, "rm -f roots"), await asNobody(dir, "mv roots mine"), await asNobody(dir, "ls")];
    },
    expect: ["Operation not permitted", "Operation not permitted", "roots"],
  },
  {
    name: "what somebody creates belongs to him, in a setgid directory to its group",
    run: async ({ dir }) => {
      await sh(`cd "$D"; mkdir shared; chown 0:1234 shared; chmod 2777 shared`, { env: { D: dir } });
      await asNobody(dir, ": >own; : >shared/f; mkdir shared/d; ln -s x link");
      return (await sh(`cd "$D"; stat -c '%u:%g %a' own shared/f shared/d; stat -c '%u:%g' link`, { env: { D: dir } })).split("\n").slice(0, 4);
    },
    expect: ["65534:65534 644", "65534:1234 644", "65534:1234 2755", "65534:65534"],
    differs: { "fuse-native": { because: noCaller, expect: ["0:0 644", "0:1234 644", "0:1234 2755", "0:0"] } },
  },
  {
    name: "chown sets and takes setuid and setgid away, also from root's files",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "");
      await fs.chmod(file, 0o6755);
      await fs.chown(file, 1000, 1001);
      const { uid, gid } = await fs.stat(file);
      await must("chown", [":1002", file]);
      return [uid, gid, (await fs.stat(file)).gid, await modeOf(file)];
    },
    expect: [1000, 1001, 1002, "755"],
  },
  {
    name: "a write or truncation by somebody else takes setuid and setgid away",
    run: async ({ dir }) => {
      await sh(`cd "$D"; for f in written cut rooted; do echo x >$f; chmod 6777 $f; done; echo more >>rooted`, { env: { D: dir } });
      await asNobody(dir, "echo y >>written && truncate -s 1 cut");
      return [await modeOf(path.join(dir, "written")), await modeOf(path.join(dir, "cut")), await modeOf(path.join(dir, "rooted"))];
    },
    expect: ["777", "777", "6777"],
  },
  {
    name: "so do fallocate and copy_file_range, whose replies do not tell the kernel: stat that asks for the mode alone",
    run: async ({ dir }) => {
      await sh(`cd "$D"; head -c 8192 /dev/zero >from; for f in grown punched copied; do cp from $f; chmod 6777 $f; stat -c %a $f; done`, { env: { D: dir } });
      await asNobody(dir, "fallocate -l 16384 grown; fallocate -p -l 4096 punched; xfs_io -c 'copy_range -l 8192 from' copied");
      return (await sh(`cd "$D"; stat -c %a grown punched copied`, { env: { D: dir } })).trim().split("\n");
    },
    expect: ["777", "777", "777"],
    differs: { "fuse-native": { because: "fuse-native has no fallocate", expect: ["6777", "6777", "777"] } },
  },
  {
    name: "times: nanoseconds, before 1970, after 2038",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "");
      const set = async (atime: string, mtime: string): Promise<string> => {
        await must("touch", ["-a", "-d", atime, file]);
        await must("touch", ["-m", "-d", mtime, file]);
        return (await must("stat", ["-c", "%.9X %.9Y", file])).trim();
      };
      return [await set("@1000000001.123456789", "@1000000002.987654321"), await set("@-86400.5", "@-1"), await set("@4102444800", "@5000000000.000000001")];
    },
    expect: ["1000000001.123456789 1000000002.987654321", "-86400.500000000 -1.000000000", "4102444800.000000000 5000000000.000000001"],
    differs: { "fuse-native": { because: oneTime, expect: expect.any(Array) } },
  },
  {
    name: "both times at once, whole milliseconds, equal",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "");
      await must("touch", ["-d", "@1000000001.123", file]);
      return must("stat", ["-c", "%.9X %.9Y", file]);
    },
    expect: "1000000001.123000000 1000000001.123000000\n",
  },
  {
    name: "two different times at once",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "");
      await fs.utimes(file, 1000, 2000);
      return must("stat", ["-c", "%X %Y", file]);
    },
    expect: "1000 2000\n",
    differs: { "fuse-native": { because: millisecondTimes, expect: "1000 1000\n" } },
  },
  {
    name: "what changes which time",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "x");
      const later = async (what: string, change: () => Promise<unknown>, of: string): Promise<string> => {
        const before = await fs.stat(of, { bigint: true });
        await sleep(15);
        await change();
        const after = await fs.stat(of, { bigint: true });
        return `${what}: ${after.mtimeNs > before.mtimeNs ? "m" : "-"}${after.ctimeNs > before.ctimeNs ? "c" : "-"}`;
      };
      return [
        await later("write", () => fs.appendFile(file, "y"), file), await later("truncate", () => fs.truncate(file, 1), file),
        await later("chmod", () => fs.chmod(file, 0o600), file), await later("link", () => fs.link(file, `${file}2`), file),
        await later("directory at create", () => fs.writeFile(`${file}3`, ""), dir),
        await later("directory at unlink", () => fs.unlink(`${file}3`), dir),
        await later("directory at rename", () => fs.rename(`${file}2`, `${file}4`), dir),
        await later("rename", () => fs.rename(`${file}4`, `${file}5`), `${file}`),
        await later("read", () => fs.readFile(file), file),
      ];
    },
    expect: [
      "write: mc", "truncate: mc", "chmod: -c", "link: -c", "directory at create: mc", "directory at unlink: mc",
      "directory at rename: mc", "rename: -c", "read: --",
    ],
  },
  {
    name: "extended attributes: set, get, list, remove, flags, sizes",
    run: async ({ dir }) => {
      const file = path.join(dir, "f");
      await fs.writeFile(file, "");
      const name = "user.test";
      const set = async (attribute: string, value: string, flags: number): Promise<unknown> =>
        (await syscall("setxattr", [file, attribute, value, value.length, flags])).result;
      const get = async (attribute: string, room: number): Promise<unknown> => {
        const { result, out } = await syscall("getxattr", [file, attribute, { room: Math.max(room, 1) }, room]);
        return typeof result === "number" && room > 0 ? out.toString() : result;
      };
      const [replaceMissing, made, createAgain] = [await set(name, "x", 2), await set(name, "value", 1), await set(name, "x", 1)];
      await set("user.second", "", 0);
      const listed = await syscall("listxattr", [file, { room: 200 }, 200]);
      const names = listed.out.toString().split("\0").filter((text) => text.startsWith("user.")).sort();
      return {
        replaceMissing, made, createAgain, names, get: await get(name, 100), size: await get(name, 0), small: await get(name, 3),
        missing: await get("user.none", 10), empty: await get("user.second", 10),
        smallList: (await syscall("listxattr", [file, { room: 4 }, 4])).result,
        long: await set(`user.${"n".repeat(250)}`, "v", 0), longer: await set(`user.${"n".repeat(251)}`, "v", 0),
        removed: (await syscall("removexattr", [file, name])).result, again: (await syscall("removexattr", [file, name])).result,
      };
    },
    expect: {
      replaceMissing: "ENODATA", made: 0, createAgain: "EEXIST", names: ["user.second", "user.test"], get: "value", size: 5, small: "ERANGE",
      missing: "ENODATA", empty: "", smallList: "ERANGE", long: 0, longer: "ERANGE", removed: 0, again: "ENODATA",
    },
  },
  {
    name: "extended attributes: binary values, directories, who may",
    run: async ({ dir }) => sh(`
      cd "$D"; touch f; mkdir d; ln -s f l; chmod 666 f
      setfattr -n user.bin -v 0x00ff0a00 f; getfattr -e hex --only-values -n user.bin f | od -An -tx1
      setfattr -n user.dir -v here d; getfattr --only-values -n user.dir d; echo
      setfattr -h -n user.link -v x l 2>&1 | sed 's/.*: //'
      setpriv --reuid=65534 --regid=65534 --clear-groups setfattr -n trusted.x -v x f 2>&1 | sed 's/.*: //'
      setpriv --reuid=65534 --regid=65534 --clear-groups setfattr -n user.x -v x d 2>&1 | sed 's/.*: //'
      setfattr -n trusted.x -v x f; getfattr --only-values -n trusted.x f
    `, { env: { D: dir } }),
    expect: " 00 ff 0a 00\nhere\nOperation not permitted\nOperation not permitted\nPermission denied\nx",
  },
  {
    name: "access(2) answers by mode and caller",
    run: async ({ dir }) => {
      await sh(`cd "$D"; touch f; chmod 640 f; printf '#!/bin/sh\necho ran\n' >run; chmod 755 run`, { env: { D: dir } });
      return [await asNobody(dir, "test -r f || echo no"), await asNobody(dir, "test -x run && echo yes"), await asNobody(dir, "./run"), await outcome(fs.access(path.join(dir, "f"), 1))];
    },
    expect: ["no", "yes", "ran", "EACCES"],
  },
];
