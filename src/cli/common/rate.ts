// How fast something goes, from what was measured: smoothed, so that one slow step does not make the estimate jump.

/** What came in the last seconds counts; older measurements fade away. */
const fadeMs = 4000;
/** Before this nothing is said: it would be a guess. */
const learnMs = 1000;

export class Rate {
  #lastMs: number | undefined;
  #lastDone = 0;
  #learnedMs = 0;
  /** Sums that fade: units done, and the time that they took. */
  #units = 0;
  #ms = 0;

  /** `done` units in all at `nowMs`, a clock that never goes back. Fewer than before begin anew. */
  add(nowMs: number, done: number): void {
    if (this.#lastMs !== undefined && done >= this.#lastDone) {
      const ms = nowMs - this.#lastMs;
      const fade = Math.exp(-ms / fadeMs);
      this.#units = this.#units * fade + done - this.#lastDone;
      this.#ms = this.#ms * fade + ms;
      this.#learnedMs += ms;
    }
    this.#lastMs = nowMs;
    this.#lastDone = done;
  }

  /** Units a second; undefined while too little was seen. */
  get perSecond(): number | undefined {
    return this.#learnedMs < learnMs || this.#units <= 0 ? undefined : (this.#units / this.#ms) * 1000;
  }

  secondsFor(units: number): number | undefined {
    const { perSecond } = this;
    return perSecond === undefined ? undefined : units / perSecond;
  }
}

/** "about 40 s", "about 3 min", "about 2 h 10 min": never more exact than the measurement. */
export function aboutText(seconds: number): string {
  if (seconds < 1.5) return "about 1 s";
  if (seconds < 90) return `about ${roundTo(seconds, seconds < 20 ? 1 : 5)} s`;
  if (seconds < 90 * 60) return `about ${Math.round(seconds / 60)} min`;
  const minutes = roundTo(seconds / 60, 10);
  return `about ${Math.floor(minutes / 60)} h${minutes % 60 === 0 ? "" : ` ${minutes % 60} min`}`;
}

function roundTo(value: number, step: number): number {
  return Math.round(value / step) * step;
}
