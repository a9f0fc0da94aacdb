// Long work in pieces, so that other requests, a signal or an unmount need not wait for its end.

/** Bytes of zeros that a disk writes well within a second: whoever interrupts us or ends the mount waits that long at most. */
export const zeroStep = 32 * 2 ** 20;

/** [offset, offset + length) in pieces: where each begins, and its length. In the caller's unit. */
export function* stepsOf(offset: number, length: number, step: number): Generator<readonly [at: number, count: number]> {
  for (let at = offset; at < offset + length; at += step) yield [at, Math.min(step, offset + length - at)];
}
