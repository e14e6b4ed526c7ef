import type { SecretSource } from '../core/settings/secret-source.ts'

/**
 * Reads a secret afresh, so that a changed file is picked up. One trailing newline is not part of it.
 * Fails with `config-invalid` (missing, empty, too long), `file-not-permitted`, `file-io`; each names the source of the
 * secret, never the secret.
 */
export type SecretReader = (source: SecretSource) => string
