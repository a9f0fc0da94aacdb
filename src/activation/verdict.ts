// The verdict of the activation gate is data and lists every reason.

/** A run of pages of the file, in pages. */
export interface PageRange {
  readonly page: number;
  readonly count: number;
}

/** Where a reason lies: in the file's extents on the volume, or in the image's own extents on its host filesystem. */
export type Layer = "file" | "image";

/** What the host filesystem's extents below a page of the file can be that swap cannot lie on, as FIEMAP says it. */
export type ImageFault = "hole" | "shared" | "unwritten" | "inline" | "delalloc" | "encoded" | "not-aligned";

export type Reason =
  | { readonly kind: "hole" | "shared"; readonly layer: Layer; readonly ranges: readonly PageRange[] }
  | { readonly kind: Exclude<ImageFault, "hole" | "shared">; readonly layer: "image"; readonly ranges: readonly PageRange[] }
  /** the host allocates for each overwrite; `why` in words */
  | { readonly kind: "cow-host"; readonly host: string; readonly why: string }
  /** FIEMAP failed; `error` is the errno's name */
  | { readonly kind: "unmapped-host"; readonly host: string; readonly error: string }
  | { readonly kind: "read-only-host"; readonly host: string }
  /** where the volume lies in its image cannot be told; `why` in words */
  | { readonly kind: "unreachable-image"; readonly file: string; readonly why: string }
  /** in the file: blocks outside the data area, or of another file as well */
  | { readonly kind: "not-its-own"; readonly ranges: readonly PageRange[] }
  /** a flush failed; `error` in words */
  | { readonly kind: "not-committed"; readonly error: string }
  | { readonly kind: "open-for-writing"; readonly pids: readonly number[] }
  | { readonly kind: "mapped-shared"; readonly pids: readonly number[] }
  /** in use as swap already, as a block device over its blocks */
  | { readonly kind: "block-view" }
  | { readonly kind: "not-a-file"; readonly type: string }
  | { readonly kind: "too-small"; readonly pages: number }
  | { readonly kind: "no-header" }
  | { readonly kind: "header-page-size"; readonly pageBytes: number }
  | { readonly kind: "header-unreadable"; readonly error: string }
  | { readonly kind: "header-version"; readonly version: number }
  | { readonly kind: "header-only" }
  | { readonly kind: "bad-pages"; readonly count: number }
  | { readonly kind: "header-larger-than-file"; readonly headerPages: number; readonly filePages: number };

export type ReasonKind = Reason["kind"];

/**
 * `accepted` is true only when `reasons` is empty. `pages`: what would be swapped on, the header page included; a header
 * that says less than the file has limits it. `extents`: of the whole file.
 */
export interface Verdict {
  readonly accepted: boolean;
  readonly ino: number;
  readonly pages: number;
  readonly extents: number;
  readonly reasons: readonly Reason[];
}
