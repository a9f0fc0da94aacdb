// Preloaded by a test: makes reading the mount table fail with an error that nothing expects.
const fs = require("node:fs");
const real = fs.readFileSync;
fs.readFileSync = (path, ...rest) => {
  if (String(path) === "/proc/self/mountinfo") throw new TypeError("broken on purpose");
  return real(path, ...rest);
};
