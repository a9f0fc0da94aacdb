// How a volume is opened.

/** Changes nothing, not even to repair. What a power cut left without its data is shown as it lies there. */
interface ReadOnlyOpen {
  readonly readOnly: true;
}

/** How a checkpoint is written while operations go on. */
export interface CheckpointSteps {
  /** of the state, encoded between two turns */
  readonly bytes: number;
  /** Resolves at another turn of the event loop. */
  readonly turn: () => Promise<void>;
}

export interface WritableOpen {
  readonly readOnly?: false;
  /** Names the running boot of the machine: what another one wrote and did not flush is not trusted. */
  readonly boot: number;
  /** Open a volume whose journal is damaged as it was before the damaged record. */
  readonly acceptLoss?: boolean;
  /** undefined: checkpoints are written at once, as suits a command that has nothing else to do. */
  readonly steps?: CheckpointSteps;
  /** Called when pages were released: they are free, and discarded, after the next flush. */
  readonly released?: () => void;
}

export type OpenOptions = ReadOnlyOpen | WritableOpen;
