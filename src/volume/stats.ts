// What `swapfs status` shows of a volume.

export interface VolumeStats {
  /** of the last record */
  readonly sequence: number;
  readonly records: number;
  readonly journalBytes: number;
  readonly journalCapacity: number;
  readonly checkpoints: number;
  /** what the last checkpoint took */
  readonly checkpointMs: number;
  readonly checkpointBytes: number;
  readonly checkpointCapacity: number;
  readonly freeRuns: number;
  readonly largestFreeRun: number;
}
