// What a test sets up is undone in reverse order, also when the test fails, and the test fails when something is left.

export class Cleanup {
  readonly #steps: { what: string; undo: () => Promise<unknown> | unknown }[] = [];

  /** `undo` may find its work done already. */
  add(what: string, undo: () => Promise<unknown> | unknown): void {
    this.#steps.push({ what, undo });
  }

  /** Undoes everything, goes on after errors, and throws them together. */
  async run(): Promise<void> {
    const failures: string[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step.undo();
      } catch (error) {
        failures.push(`${step.what}: ${(error as Error).message}`);
      }
    }
    if (failures.length > 0) throw new Error(`left behind:\n${failures.join("\n")}`);
  }
}

/** Runs `body` with a stack that is undone after it; an error of the body wins over one of the undoing. */
export async function withCleanup<T>(body: (cleanup: Cleanup) => Promise<T>): Promise<T> {
  const cleanup = new Cleanup();
  let result: T;
  try {
    result = await body(cleanup);
  } catch (error) {
    await cleanup.run().catch((left: Error) => {
      (error as Error).message += `\n(${left.message})`;
    });
    throw error;
  }
  await cleanup.run();
  return result;
}
