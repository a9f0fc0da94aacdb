// Which seeds a test of many random cases takes. SWAPFS_SEED=n, which a failure prints: that one alone. SWAPFS_FIRST_SEED=n: from
// that one on, as `npm run soak` has it; else others at every run. `knob` names the variable of the environment that says how many.

export interface Seeds {
  readonly first: number;
  readonly count: number;
  /** the one that was asked for */
  readonly single: boolean;
  /** how many there are was asked for */
  readonly asked: boolean;
}

export function seedsFor(count: number, knob?: string): Seeds {
  const one = process.env["SWAPFS_SEED"];
  if (one !== undefined) return { first: Number(one), count: 1, single: true, asked: true };
  const from = process.env["SWAPFS_FIRST_SEED"];
  const first = from === undefined ? Math.floor(Math.random() * 2 ** 30) : Number(from);
  const many = knob === undefined ? undefined : process.env[knob];
  return { first, count: many === undefined ? count : Number(many), single: false, asked: many !== undefined };
}
