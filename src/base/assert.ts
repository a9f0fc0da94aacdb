// A bug asserts; the world throws a typed error (errors.ts).

export class AssertionError extends Error {
  override name = "AssertionError";
}

/** Throws when an invariant of our own code does not hold. `message` states the invariant. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(`invariant broken: ${message}`);
}

/** Ends a `switch` over a union: the compiler rejects it when a case is missing. */
export function assertNever(value: never): never {
  throw new AssertionError(`invariant broken: no case for ${JSON.stringify(value)}`);
}
