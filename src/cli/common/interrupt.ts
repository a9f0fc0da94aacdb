// Ctrl-C, SIGTERM and SIGHUP end the work but never the cleaning up after it.

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What a program that was interrupted exits with, as in the shell: 128 + SIGINT. */
export const interruptedExit = 130;

export class Interrupted extends Error {
  override name = "Interrupted";

  constructor() {
    super("interrupted, everything was cleaned up");
  }
}

/** Runs `work`; its signal is aborted by the first Ctrl-C, and later ones are ignored until `work` has ended. */
export async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const abort = (): void => controller.abort(new Interrupted());
  for (const name of signals) process.on(name, abort);
  try {
    return await work(controller.signal);
  } catch (error) {
    // A child that got the same Ctrl-C ends with an error of its own; the reason is the interruption.
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    for (const name of signals) process.off(name, abort);
  }
}
