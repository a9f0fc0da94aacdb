// Checks of what comes from a file, and the types that they assure: a shape is declared once.

import { exitCode, UserError } from "../base/errors";

export class Unreadable extends UserError {}

/** Throws Unreadable unless the value is a T; `at`: where it stands. */
export interface Check<T> {
  (value: unknown, at: string): void;
  readonly assures?: T;
}
export interface Maybe<T> extends Check<T> {
  readonly optional?: true;
}
export type Checked<C> = C extends Check<infer T> ? T : never;
type Shape = Readonly<Record<string, Check<any>>>;
type Optional<S extends Shape> = { [K in keyof S]: "optional" extends keyof S[K] ? K : never }[keyof S];
type Whole<S extends Shape> =
  & { readonly [K in Exclude<keyof S, Optional<S>>]: Checked<S[K]> }
  & { readonly [K in Optional<S>]?: Checked<S[K]> };

function refuse(at: string, state: string): never {
  throw new Unreadable(exitCode.usage, `${at} ${state}`);
}

export const number: Check<number> = (value, at) => {
  if (typeof value !== "number" || !Number.isFinite(value)) refuse(at, "is no number");
};
export const text: Check<string> = (value, at) => {
  if (typeof value !== "string") refuse(at, "is no text");
};
export const flag: Check<boolean> = (value, at) => {
  if (typeof value !== "boolean") refuse(at, "is neither true nor false");
};
export const oneOf = <const W extends string>(...words: readonly W[]): Check<W> => (value, at) => {
  if (!(words as readonly unknown[]).includes(value)) refuse(at, `is none of ${words.join(", ")}`);
};
export const maybe = <T>(check: Check<T>): Maybe<T> => (value, at) => {
  if (value !== undefined) check(value, at);
};
export const list = <T>(check: Check<T>, least = 0): Check<readonly T[]> => (value, at) => {
  if (!Array.isArray(value) || value.length < least) refuse(at, least > 0 ? `is no list of ${least} or more` : "is no list");
  value.forEach((item, index) => check(item, `${at}[${index}]`));
};
export const fields = <S extends Shape>(checks: S): Check<Whole<S>> => (value, at) => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) refuse(at, "is no object");
  for (const [name, check] of Object.entries(checks)) check((value as Record<string, unknown>)[name], at === "" ? name : `${at}.${name}`);
};
