// A struct is declared once: one field list gives its size, offsets, decode, encode and debug line.
// Little-endian (every machine that Linux runs fuse-hosted swap on here), C layout, padding is a field of its own.

import { assert } from "./assert";

export interface Field<T> {
  readonly size: number;
  readonly align: number;
  read(from: Buffer, at: number): T;
  write(to: Buffer, at: number, value: T): void;
}

function integer<T>(size: number, read: Field<T>["read"], write: Field<T>["write"]): Field<T> {
  return { size, align: size, read, write };
}

export const u16 = integer<number>(2, (from, at) => from.readUInt16LE(at), (to, at, value) => void to.writeUInt16LE(value, at));
export const u32 = integer<number>(4, (from, at) => from.readUInt32LE(at), (to, at, value) => void to.writeUInt32LE(value >>> 0, at));
export const i32 = integer<number>(4, (from, at) => from.readInt32LE(at), (to, at, value) => void to.writeInt32LE(value, at));
export const u64 = integer<bigint>(8, (from, at) => from.readBigUInt64LE(at), (to, at, value) => void to.writeBigUInt64LE(BigInt.asUintN(64, value), at));
export const i64 = integer<bigint>(8, (from, at) => from.readBigInt64LE(at), (to, at, value) => void to.writeBigInt64LE(value, at));

/** `length` raw bytes, copied out on decode. */
export function bytes(length: number, align = 1): Field<Buffer> {
  return {
    size: length, align,
    read: (from, at) => Buffer.from(from.subarray(at, at + length)),
    write: (to, at, value) => {
      assert(value.length === length, `a field of ${length} bytes is given ${value.length} bytes`);
      value.copy(to, at);
    },
  };
}

/** Another struct in line, as in `struct fuse_entry_out { …; struct fuse_attr attr; }`. */
export function inline<F extends Fields>(struct: Struct<F>): Field<Values<F>> {
  return {
    size: struct.size, align: struct.align,
    read: (from, at) => struct.decode(from, at),
    write: (to, at, value) => void struct.encodeInto(to, at, value),
  };
}

export type Fields = Readonly<Record<string, Field<any>>>;
export type Values<F extends Fields> = { [K in keyof F]: F[K] extends Field<infer T> ? T : never };
export type ValuesOf<S> = S extends Struct<infer F> ? Values<F> : never;

/** A C struct: field order and sizes are the kernel's, and a hole in them is an error here, not a surprise there. */
export class Struct<F extends Fields> {
  readonly name: string;
  readonly size: number;
  readonly align: number;
  readonly offsets: Readonly<Record<keyof F, number>>;
  readonly #fields: readonly (readonly [keyof F & string, Field<unknown>, number])[];

  constructor(name: string, fields: F) {
    this.name = name;
    let at = 0;
    let align = 1;
    const placed: (readonly [keyof F & string, Field<unknown>, number])[] = [];
    for (const [key, field] of Object.entries(fields)) {
      assert(at % field.align === 0, `${name}.${key} is aligned: padding is a field`);
      placed.push([key, field, at]);
      at += field.size;
      align = Math.max(align, field.align);
    }
    assert(at % align === 0, `${name} ends aligned: padding is a field`);
    this.size = at;
    this.align = align;
    this.#fields = placed;
    this.offsets = Object.fromEntries(placed.map(([key, , offset]) => [key, offset])) as Record<keyof F, number>;
  }

  /** The struct at `at`; the caller has checked that `size` bytes are there. */
  decode(from: Buffer, at = 0): Values<F> {
    const values: Record<string, unknown> = {};
    for (const [key, field, offset] of this.#fields) values[key] = field.read(from, at + offset);
    return values as Values<F>;
  }

  encodeInto(to: Buffer, at: number, values: Values<F>): number {
    for (const [key, field, offset] of this.#fields) field.write(to, at + offset, values[key]);
    return at + this.size;
  }

  encode(values: Values<F>): Buffer {
    const made = Buffer.alloc(this.size);
    this.encodeInto(made, 0, values);
    return made;
  }
}
