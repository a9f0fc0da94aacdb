// Rounds: every contender is measured once in each, another one first every time.

/** The order of a round: rotated, and backwards in every second one, so that nobody always follows the same neighbour. */
export function turnsOf<T>(contenders: readonly T[], round: number): T[] {
  if (contenders.length === 0) return [];
  const start = round % contenders.length;
  const turned = [...contenders.slice(start), ...contenders.slice(0, start)];
  return round % 2 === 0 ? turned : turned.reverse();
}
