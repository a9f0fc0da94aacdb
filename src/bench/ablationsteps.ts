// The steps of an ordinary write, as data: how each is switched on, what it is compared with, and its name in the kernel.

import type { AblationStep } from "../report/model";

/** What fio measures: us a page of a write of one page, in one setting. */
export type Point =
  | "base" | "base-2-jobs" | "lock" | "direct-open" | "killpriv" | "time" | "ask" | "commit" | "cache" | "no-pages" | "invalidate"
  | "allocation" | "cow" | "unwritten" | "javascript" | "whole";

export interface StepPlan extends Omit<AblationStep, "withStep" | "added"> {
  readonly point: Point;
  /** the same write without this step */
  readonly reference: Point;
}

/** In the order in which an ordinary write takes them. */
export const stepPlans: readonly StepPlan[] = [
  {
    id: "lock", name: "exclusive inode lock", point: "lock", reference: "base-2-jobs",
    switch: "open without FOPEN_PARALLEL_DIRECT_WRITES; two jobs on one file, beside two jobs with it",
    kernelStep: "inode_lock in generic_file_write_iter; fuse_dio_lock",
  },
  {
    id: "killpriv", name: "privilege removal", point: "killpriv", reference: "direct-open",
    switch: "INIT without FUSE_HANDLE_KILLPRIV_V2; O_DIRECT without FOPEN_DIRECT_IO (which looks at no privileges), beside the same with it",
    kernelStep: "file_remove_privs in kiocb_modified: getxattr security.capability",
  },
  {
    id: "time", name: "time update", point: "time", reference: "base",
    switch: "each write notes mtime for the next record, as one to an ordinary file",
    kernelStep: "file_update_time in kiocb_modified: the inode becomes dirty",
  },
  {
    id: "commit", name: "journal commit", point: "commit", reference: "ask",
    switch: "a journal record with mtime for each write that asks, before its answer; beside asking without one",
    kernelStep: "ext4_dirty_inode, xfs_vn_update_time: the inode in a transaction (theirs are committed in batches)",
  },
  {
    id: "cache", name: "page cache instead of direct I/O", point: "cache", reference: "base",
    switch: "open without FOPEN_DIRECT_IO, write(2) without O_DIRECT: through the cache to the device, no writeback",
    kernelStep: "generic_perform_write: a folio, a copy, and here fuse_send_write_pages at once",
  },
  {
    id: "invalidate", name: "invalidation of cached pages", point: "invalidate", reference: "no-pages",
    switch: "a handle from before the activation has read every page, open with FOPEN_KEEP_CACHE; beside the same with no page cached",
    kernelStep: "kiocb_invalidate_pages in generic_file_direct_write; invalidate_inode_pages2_range in fuse_direct_io",
  },
  {
    id: "allocation", name: "allocation", point: "allocation", reference: "base",
    switch: "a sparse file, opened as an activated one is: each write fills a hole",
    kernelStep: "ext4_iomap_alloc, xfs_iomap_write_direct: blocks in a transaction before the I/O",
  },
  {
    id: "cow", name: "copy-on-write break", point: "cow", reference: "base",
    switch: "a clone of the file exists (cp), the file is opened as an activated one is: each write gets a block of its own",
    kernelStep: "xfs_reflink_allocate_cow before, xfs_reflink_end_cow after the I/O",
  },
  {
    id: "unwritten", name: "unwritten conversion", point: "unwritten", reference: "base",
    switch: "a preallocated file (fallocate), opened as an activated one is: each write marks its page written",
    kernelStep: "ext4_convert_unwritten_extents, xfs_iomap_write_unwritten at the end of the I/O",
  },
  {
    id: "ask", name: "a trip through the control plane", point: "ask", reference: "base",
    switch: "the data plane finds no map: each write asks where it lies and says when it is done",
    kernelStep: "none: extents are looked up in memory (ext4_es_lookup_extent, xfs_bmapi_read), as in the data plane's map",
  },
  {
    id: "javascript", name: "a trip through JavaScript", point: "javascript", reference: "base",
    switch: "the fuse-native engine: data and metadata in Node, with lock, privileges and journal record",
    kernelStep: "none: a filesystem in the kernel is called, not asked",
  },
];
