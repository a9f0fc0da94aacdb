// How a volume is opened.

export interface OpenOptions {
  /** Change nothing, not even to repair. */
  readonly readOnly?: boolean;
  /** Open a volume whose journal is damaged as it was before the damaged record. */
  readonly acceptLoss?: boolean;
  /** Called when pages were released: they are free, and discarded, after the next flush. */
  readonly released?: () => void;
  /** Names the running boot of the machine, not 0: what another one wrote and did not flush is not trusted. */
  readonly boot?: number;
}
