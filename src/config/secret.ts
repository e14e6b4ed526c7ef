import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { AppError } from '../core/error.ts'
import type { SecretSource } from '../core/settings.ts'
import type { SecretReader } from '../ports/secret.ts'

/** A secret is at most so long. */
const SECRET_BYTES_MAX = 4096

/** The SecretReader of the daemon and the CLI. @param env where variables are looked up */
export function secretReader(env: Readonly<Record<string, string | undefined>>): SecretReader {
  return (source) => readSecret(source, env)
}

export function readSecret(source: SecretSource, env: Readonly<Record<string, string | undefined>>): string {
  if ('file' in source) return secretFrom(readSecretFile(source.file), `the file ${source.file}`)
  const value = env[source.env]
  if (value === undefined) {
    const hint = 'Set it for the process that runs Lockstep, or keep the secret in a file.'
    throw new AppError('config-invalid', `the environment variable ${source.env} is not set`, { hint })
  }
  return secretFrom(value, `the environment variable ${source.env}`)
}

/** Drops one line end and refuses what can be no secret. @param where names the place in error texts */
export function secretFrom(text: string, where: string): string {
  const secret = text.replace(/\r?\n$/, '')
  if (secret === '')
    throw new AppError('config-invalid', `${where} holds an empty secret`, { hint: 'Write the secret into it.' })
  if (Buffer.byteLength(secret) > SECRET_BYTES_MAX) {
    throw new AppError('config-invalid', `the secret in ${where} is longer than ${SECRET_BYTES_MAX} bytes`, {
      hint: 'Is it the right file? It holds the secret alone.',
    })
  }
  if (/[\0\r\n]/.test(secret)) {
    const hint = 'It holds the secret alone, in one line.'
    throw new AppError('config-invalid', `the secret in ${where} has several lines or a NUL character`, { hint })
  }
  return secret
}

function readSecretFile(file: string): string {
  let descriptor: number
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw secretFileError(file, error)
  }
  try {
    if (!fstatSync(descriptor).isFile()) throw new AppError('config-invalid', `the secret file ${file} is no file`)
    const bytes = Buffer.alloc(SECRET_BYTES_MAX + 16)
    const length = readSync(descriptor, bytes, 0, bytes.length, 0)
    return bytes.toString('utf8', 0, length)
  } finally {
    closeSync(descriptor)
  }
}

function secretFileError(file: string, error: unknown): AppError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    const hint = 'Write the secret into it, mode 0600, owned by the user that Lockstep runs as.'
    return new AppError('config-invalid', `the secret file ${file} does not exist`, { hint, cause: error })
  }
  if (code === 'EACCES' || code === 'EPERM') {
    const hint = 'Give it to the user that Lockstep runs as (chown), mode 0600.'
    return new AppError('file-not-permitted', `the secret file ${file} may not be read by this user`, {
      hint,
      cause: error,
    })
  }
  return new AppError('file-io', `the secret file ${file} cannot be read (${code})`, { cause: error })
}
