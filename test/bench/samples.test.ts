// From samples to rows: turns, ratios of each round, bounds, and reasons for what is missing.

import { turnsOf } from "#src/bench/context";
import { atMost, middleOf, Samples, type RowHead } from "#src/bench/samples";

const head: RowHead = { group: "swap", name: "touch", unit: "us", better: "less", contenders: ["swapfs", "device", "xfs"] };

test("another contender is first in each round, and every one has its turn", () => {
  const contenders = ["a", "b", "c"];
  const rounds = [0, 1, 2, 3].map((round) => turnsOf(contenders, round));
  expect(rounds).toEqual([["a", "b", "c"], ["a", "c", "b"], ["c", "a", "b"], ["c", "b", "a"]]);
  expect(turnsOf([], 3)).toEqual([]);
});

test("in six rounds each of three contenders follows each other one equally often", () => {
  const pairs = new Map<string, number>();
  for (let round = 0; round < 6; round += 1) {
    const turns = turnsOf(["a", "b", "c"], round);
    turns.slice(1).forEach((who, index) => pairs.set(`${turns[index]}${who}`, (pairs.get(`${turns[index]}${who}`) ?? 0) + 1));
  }
  expect([...pairs.values()]).toEqual([2, 2, 2, 2, 2, 2]);
});

test("a ratio is taken within rounds, and only in those where both were measured", () => {
  const samples = new Samples();
  [10, 40, 90].forEach((value, round) => samples.add("touch", "swapfs", round, value));
  samples.add("touch", "device", 0, 10);
  samples.add("touch", "device", 2, 100);
  const [row] = samples.rows([head], [{ contender: "swapfs", against: "device", rows: /./, bound: atMost(0.9) }]);
  expect(row!.ratios).toEqual([{
    contender: "swapfs", against: "device", bound: { side: "at most", value: 0.9 }, met: false, summary: expect.objectContaining({ samples: [1, 0.9], median: 0.95 }),
  }]);
});

test("rules only concern the rows that they name; without values there is no ratio", () => {
  const samples = new Samples();
  samples.add("touch", "swapfs", 0, 10);
  const [row] = samples.rows([head], [
    { contender: "swapfs", against: "device", rows: /./ }, { contender: "swapfs", against: "swapfs", rows: /^other/ },
  ]);
  expect(row!.ratios).toEqual([]);
});

test("what was not measured says why, and a reason does not hide what other rounds gave", () => {
  const samples = new Samples();
  samples.refuse("touch", "xfs", "no such filesystem here");
  samples.refuse("touch", "xfs", "the second reason");
  samples.add("touch", "swapfs", 0, 10);
  samples.refuse("touch", "swapfs", "only once");
  const [row] = samples.rows([head], []);
  expect(row!.cells).toEqual([
    { contender: "swapfs", summary: expect.objectContaining({ median: 10 }) },
    { contender: "device", refused: "not measured" },
    { contender: "xfs", refused: "no such filesystem here" },
  ]);
});

test("bounds on values: of one contender, of all", () => {
  const samples = new Samples();
  samples.add("touch", "swapfs", 0, 31);
  samples.add("touch", "device", 0, 33);
  const met = (rule: { contender?: "swapfs" }): (boolean | undefined)[] =>
    samples.rows([head], [], [{ ...rule, rows: /touch/, bound: atMost(32) }])[0]!.cells.map((cell) => cell.met);
  expect(met({})).toEqual([true, false, undefined]);
  expect(met({ contender: "swapfs" })).toEqual([true, undefined, undefined]);
});

test("latency curves of several rounds become one: the median at each percentile", () => {
  const curves = [{ points: [[50, 1], [99, 10]] }, { points: [[50, 3], [99, 40]] }, { points: [[50, 2], [99, 20]] }] as const;
  expect(middleOf(curves)).toEqual({ points: [[50, 2], [99, 20]] });
});
