/**
 * Something that the administrators are to know: told once, however often it is seen. `breaker`: locks wait in the review
 * queue; the subject names the limit. `protected`: an account that is never locked has holds; the subject is the
 * directory. `accounts-gone`: many accounts of a directory are no longer found; likewise.
 */
export interface Finding {
  readonly kind: 'breaker' | 'protected' | 'accounts-gone'
  readonly subject: string
  /** One sentence for people. */
  readonly reason: string
  /** When it was first seen, in milliseconds since 1970. */
  readonly firstMs: number
}

/** What `log` and mail are fed from. */
export interface FindingPort {
  /** Those that last, the oldest first. */
  open(): Promise<readonly Finding[]>
  /** Those that nobody was told of yet, ended or not. */
  untold(): Promise<readonly Finding[]>
  told(findings: readonly Finding[]): Promise<void>
}
