// The form of a handler: the decoded request in, the whole raw reply out. It throws FsError to answer with an errno.

import type { Fields } from "../base/struct";
import type { Opcode } from "../wire/opcodes";
import type { Request } from "../wire/request";
import type { FileSystem } from "../blocks/filesystem";

export type Reply = Buffer | undefined;

export type Handler<F extends Fields> = (fs: FileSystem, request: Request<F>) => Reply | Promise<Reply>;

export type RequestOf<O> = O extends Opcode<infer F, any> ? Request<F> : never;
