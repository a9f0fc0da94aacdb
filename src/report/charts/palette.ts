// Colours: one for each contender wherever it appears. Ours are green to blue, the others stand back.

import type { Contender } from "../model";

export type Theme = Readonly<typeof light>;

/** `whisker`: nothing else has this colour, a test counts whiskers by it. `heat`: from little to much. */
export const light = {
  ours: ["#0b9e76", "#0284c7", "#65a30d", "#0f766e", "#4f46e5"],
  peers: ["#7c8798", "#b08968", "#d97706", "#c2557f", "#8b7fc7", "#a16bb5", "#dc6b4a", "#94a36b", "#b4a04a"],
  text: "#172033", soft: "#5b677a", line: "#e3e8ef", panel: "#ffffff", whisker: "#2a3446",
  heat: ["#eef7f4", "#cfeadf", "#fde9b8", "#fbb96b", "#ef6f4c", "#b8274c"], bad: "#c62a3f",
};

export const dark: Theme = {
  ours: ["#2dd4a0", "#38bdf8", "#a3e635", "#2aa89a", "#8b8cf7"],
  peers: ["#8a97ab", "#b8977a", "#e0a04a", "#d5789c", "#a79be0", "#bd8fcd", "#e58a6c", "#abb886", "#c9b868"],
  text: "#e8edf5", soft: "#98a5b8", line: "#2a3547", panel: "#141c2b", whisker: "#dfe7f3",
  heat: ["#17292c", "#1d4a47", "#6b6130", "#a8682f", "#c94f3d", "#e33e63"], bad: "#ff7285",
};

export function coloursOf(contenders: readonly Contender[], theme: Theme): Map<string, string> {
  const taken = { ours: 0, peers: 0 };
  return new Map(contenders.map(({ id, ours }) => {
    const side = ours ? "ours" : "peers";
    const colours = theme[side];
    return [id, colours[taken[side]++ % colours.length]!];
  }));
}
