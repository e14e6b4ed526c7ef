/** A time for people and scripts alike: UTC, to the millisecond (RFC 3339). */
export function moment(ms: number): string {
  return new Date(ms).toISOString()
}
