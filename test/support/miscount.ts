// Preloaded into the processes of one mount (NODE_OPTIONS=--require): at SIGUSR2 the counts that its control plane keeps in
// memory become wrong, as a fault of its own would make them. Nothing of swapfs can do that when it is asked to.

import { Space } from "#src/volume/space";

let live: Space | undefined;
const settle = Space.prototype.settle;
Space.prototype.settle = function (this: Space, ...effects) {
  live = this;
  return settle.apply(this, effects);
};

/** Lost blocks, neither used nor free; and for the first blocks that two files share a third user. */
process.on("SIGUSR2", () => {
  live!.allocator.take(lostPages);
  for (const { page } of live!.references) return live!.references.add(page, 1);
});

const lostPages = 3;
