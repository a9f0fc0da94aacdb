// How a volume is opened.

/** Changes nothing, not even to repair. What a power cut left without its data is shown as it lies there. */
interface ReadOnlyOpen {
  readonly readOnly: true;
}

export interface WritableOpen {
  readonly readOnly?: false;
  /** Names the running boot of the machine: what another one wrote and did not flush is not trusted. */
  readonly boot: number;
  /** Open a volume whose journal is damaged as it was before the damaged record. */
  readonly acceptLoss?: boolean;
  /** Called when pages were released: they are free, and discarded, after the next flush. */
  readonly released?: () => void;
}

export type OpenOptions = ReadOnlyOpen | WritableOpen;
