// How far a long operation is: a bar on a terminal, plain lines elsewhere, JSON lines for programs. All on stderr.

import { bytesOfPages, formatByteLength } from "../../base/units";
import { aboutText, Rate } from "./rate";

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
    const now = this.#now();
    if (step.total === 0) return; // not known yet, or nothing to do
    this.#rate.add(now, step.done);
    if (this.#style === "terminal") return this.#onTerminal(step);
    const { done, total } = step;
    this.#beganMs ??= now;
    if (now - this.#beganMs < quietMs) return;
    const due = this.#lineMs === undefined || done === total || done - this.#lineDone >= total * lineShare || now - this.#lineMs >= lineMs;
    if (!due) return;
    this.#lineMs = now;
    this.#lineDone = done;
    this.#line(this.#style === "json" ? JSON.stringify(this.#facts(step)) : this.#text(step));
  }

  /** Clears the bar. */
  end(): void {
    if (this.#style === "terminal" && this.#shown !== "") this.#write("\r\x1b[K");
    this.#shown = "";
  }

  #onTerminal(step: Step): void {
    const filled = Math.round((step.done / step.total) * barCells);
    const text = `[${"#".repeat(filled)}${"-".repeat(barCells - filled)}] ${this.#text(step)}`;
    if (text !== this.#shown) this.#write(`\r\x1b[K${text}`);
    this.#shown = text;
  }

  #line(text: string): void {
    if (text !== this.#shown) this.#write(`${text}\n`);
    this.#shown = text;
  }

  #text(step: Step): string {
    const { done, total, what } = step;
    const { pagesPerSecond, secondsLeft } = this.#facts(step);
    const percent = Math.floor((done / total) * 100);
    const parts = [`${what} ${String(percent).padStart(3)} %`, `${formatByteLength(bytesOfPages(done))} of ${formatByteLength(bytesOfPages(total))}`];
    if (pagesPerSecond !== null) parts.push(`${formatByteLength(bytesOfPages(Math.round(pagesPerSecond)))}/s`);
    if (secondsLeft !== null && done < total) parts.push(`${aboutText(secondsLeft)} left`);
    return parts.join(", ");
  }

  #facts({ what, done, total }: Step) {
    return { what, done, total, pagesPerSecond: this.#rate.perSecond ?? null, secondsLeft: this.#rate.secondsFor(total - done) ?? null };
  }
}
