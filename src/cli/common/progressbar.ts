// How far a long operation is: a bar on a terminal, plain lines elsewhere, JSON lines for programs. All on stderr.

import { formatPages } from "../../base/units";

export interface Step {
  /** "copying" */
  readonly what: string;
  /** pages */
  readonly done: number;
  readonly total: number;
}

export type Style = "terminal" | "lines" | "json";

export function progressStyle(json = false): Style {
  return json ? "json" : process.stderr.isTTY ? "terminal" : "lines";
}

const barCells = 24;
/** What is over before this is not worth a line. A line then when this much more is done, or at least now and then. */
const quietMs = 1000;
const lineShare = 0.1;
const lineMs = 10_000;

export class ProgressBar {
  readonly #style: Style;
  readonly #write: (text: string) => void;
  readonly #now: () => number;
  readonly #rate = new Rate();
  #shown = "";
  #lineDone = 0;
  #lineMs: number | undefined;
  #beganMs: number | undefined;

  constructor(style: Style, write = (text: string): void => void process.stderr.write(text), now = (): number => performance.now()) {
    this.#style = style;
    this.#write = write;
    this.#now = now;
  }

  show(step: Step): void {
    if (step.total === 0) return; // not known yet, or nothing to do
    const now = this.#now();
    const terminal = this.#style === "terminal";
    this.#rate.add(now, step.done);
    if (!terminal && !this.#isDue(step, now)) return;
    const text = this.#style === "json" ? JSON.stringify(this.#facts(step)) : `${terminal ? bar(step) : ""}${this.#text(step)}`;
    if (text !== this.#shown) this.#write(terminal ? `\r\x1b[K${text}` : `${text}\n`);
    this.#shown = text;
  }

  /** Clears the bar. */
  end(): void {
    if (this.#style === "terminal" && this.#shown !== "") this.#write("\r\x1b[K");
    this.#shown = "";
  }

  #isDue({ done, total }: Step, now: number): boolean {
    this.#beganMs ??= now;
    if (now - this.#beganMs < quietMs) return false;
    const due = this.#lineMs === undefined || done === total || done - this.#lineDone >= total * lineShare || now - this.#lineMs >= lineMs;
    if (due) [this.#lineMs, this.#lineDone] = [now, done];
    return due;
  }

  #text(step: Step): string {
    const { done, total, what } = step;
    const { pagesPerSecond, secondsLeft } = this.#facts(step);
    const percent = Math.floor((done / total) * 100);
    const parts = [`${what} ${String(percent).padStart(3)} %`, `${formatPages(done)} of ${formatPages(total)}`];
    if (pagesPerSecond !== null) parts.push(`${formatPages(Math.round(pagesPerSecond))}/s`);
    if (secondsLeft !== null && done < total) parts.push(`${aboutText(secondsLeft)} left`);
    return parts.join(", ");
  }

  #facts({ what, done, total }: Step) {
    const { perSecond } = this.#rate;
    return { what, done, total, pagesPerSecond: perSecond ?? null, secondsLeft: perSecond === undefined ? null : (total - done) / perSecond };
  }
}

function bar({ done, total }: Step): string {
  const filled = Math.round((done / total) * barCells);
  return `[${"#".repeat(filled)}${"-".repeat(barCells - filled)}] `;
}

/** What came in the last seconds counts; older measurements fade away. */
const fadeMs = 4000;
/** Before this nothing is said: it would be a guess. */
const learnMs = 1000;

/** How fast something goes, smoothed, so that one slow step does not make the estimate jump. */
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
