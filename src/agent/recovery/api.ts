/** What the agent offers for the day when something is lost. */
export interface Recovery {
  /** A backup of the cluster as this node has it, as bytes in order. */
  backup(): Promise<AsyncIterable<Uint8Array>>;
}
