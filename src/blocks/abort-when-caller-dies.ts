// Long work for a program that may be killed meanwhile. The kernel waits for our reply even then (request_wait_answer,
// fs/fuse/dev.c: what the server has read is no longer taken back), and the program cannot end before it.

import { isBeingKilled } from "../sys/procstatus";

const lookMs = 200;

/** Runs `work`; its signal is aborted when program or thread `pid` has got SIGKILL, or a signal that ends it. */
export async function untilKilled<T>(pid: number, work: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
  const controller = new AbortController();
  const result = work(controller.signal);
  if (!(result instanceof Promise)) return result;
  const timer = setInterval(() => {
    if (isBeingKilled(pid)) controller.abort();
  }, lookMs);
  try {
    return await result;
  } finally {
    clearInterval(timer);
  }
}
