// Preloaded into the control plane by tests (test/support/slowness.ts): its transfers and flushes of the device begin late, as
// they would on a slow disk that orders them as it likes. SWAPFS_TEST_SLOW names a file that is read at each of them.
const fs = require("node:fs");
const file = process.env.SWAPFS_TEST_SLOW;

if (file !== undefined && /engine\/native\/main\.js$/.test(process.argv[1] ?? "")) {
  let last = "";
  let left = {};
  // What a volume that is being closed no longer waits for has not begun: nothing of it may come after the close.
  let closed = false;

  /** Milliseconds for this call; a rule is for its first `count` calls. */
  const delay = (kind) => {
    const text = fs.readFileSync(file, "utf8");
    if (text !== last) [last, left] = [text, text === "" ? {} : JSON.parse(text)];
    const rule = left[kind];
    if (rule === undefined || rule.count <= 0) return 0;
    rule.count -= 1;
    fs.appendFileSync(`${file}.begun`, `${kind}\n`);
    return rule.ms;
  };

  const late = (kind, work) => (...given) => {
    const ms = delay(kind);
    if (ms === 0) return work(...given);
    return new Promise((resolve, reject) => setTimeout(() => {
      if (closed) reject(Object.assign(new Error("the volume is closed"), { code: "EIO" }));
      else resolve(work(...given));
    }, ms));
  };

  const flush = fs.fdatasync;
  fs.fdatasync = (fd, done) => {
    const ms = delay("flush");
    if (ms === 0) flush(fd, done);
    else setTimeout(() => (closed ? done(Object.assign(new Error("the volume is closed"), { code: "EIO" })) : flush(fd, done)), ms);
  };

  // A notification of an inode (fuse_out_header: unique 0, error its code) is not late: it finds the process dead.
  const { write } = fs;
  fs.write = (fd, raw, ...rest) => {
    const notifies = Buffer.isBuffer(raw) && raw.length === 40 && raw.readInt32LE(4) === 2 && raw.readBigUInt64LE(8) === 0n;
    if (notifies && delay("notify") > 0) process.kill(process.pid, "SIGKILL");
    return write(fd, raw, ...rest);
  };

  const { dlopen } = process;
  process.dlopen = function (module, ...rest) {
    const result = dlopen.call(this, module, ...rest);
    const addon = module.exports;
    if (typeof addon.writeZeroes !== "function") return result;
    const settle = addon.waitForWork;
    module.exports = {
      ...addon,
      writeZeroes: late("zero", addon.writeZeroes),
      copyWithin: late("copy", addon.copyWithin),
      waitForWork: () => ((closed = true), settle()),
    };
    return result;
  };
}
