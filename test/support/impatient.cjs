// Preloaded by a test: the CLI waits for an answer of the control plane for three seconds, not twenty.
const { Socket } = require("node:net");
const real = Socket.prototype.setTimeout;
Socket.prototype.setTimeout = function setTimeout(ms, ...rest) {
  return real.call(this, Math.min(ms, 3000), ...rest);
};
