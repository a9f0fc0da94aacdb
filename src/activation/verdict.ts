// The verdict of the activation gate is data and lists every reason.

/** A run of pages of the file, in pages. */
export interface PageRange {
  readonly page: number;
  readonly count: number;
}

export type Reason =
  | { readonly kind: "hole"; readonly layer: "file" | "image"; readonly ranges: readonly PageRange[] }
  | { readonly kind: "shared"; readonly layer: "file" | "image"; readonly ranges: readonly PageRange[] }
  | { readonly kind: "open-for-writing"; readonly pids: readonly number[] }
  | { readonly kind: "not-a-file"; readonly type: string }
  | { readonly kind: "too-small"; readonly pages: number }
  | { readonly kind: "no-header" }
  | { readonly kind: "header-larger-than-file"; readonly headerPages: number; readonly filePages: number };

/** `accepted` is true only when `reasons` is empty. `pages`, `extents`: what would be swapped on. */
export interface Verdict {
  readonly accepted: boolean;
  readonly ino: number;
  readonly pages: number;
  readonly extents: number;
  readonly reasons: readonly Reason[];
}
