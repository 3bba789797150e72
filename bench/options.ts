/** What a bench is asked for. */
export interface BenchOptions {
  trials: number;
  sites: number;
  pairs: number;
  /** Progress, for people: standard error. */
  tell: (line: string) => void;
}
