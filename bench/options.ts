/** What a bench is asked for; what is left out is the bench's own to choose. */
export interface BenchOptions {
  trials?: number;
  sites?: number;
  pairs?: number;
  /** Of a measured span. */
  minutes?: number;
  /** Progress, for people: standard error. */
  tell: (line: string) => void;
}
