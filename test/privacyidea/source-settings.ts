import type { SourceSettings } from '../../src/core/settings/settings.ts'
import type { SecretReader } from '../../src/ports/secret.ts'

export const PASSWORD = 'a secret of the tests'

/** Settings for a server of the tests. */
export function sourceSettings(url: string, change: Partial<SourceSettings> = {}): SourceSettings {
  return {
    url,
    login: { kind: 'password', user: 'lockstep', realm: null, password: { env: 'PASSWORD' } },
    caFile: null,
    connectTimeoutMs: 5000,
    timeoutMs: 10_000,
    connectionsMax: 4,
    pageSize: 500,
    knownToken: null,
    ...change,
  }
}

/** Any secret is this one. */
export function secretIs(secret: string = PASSWORD): SecretReader {
  return () => secret
}
