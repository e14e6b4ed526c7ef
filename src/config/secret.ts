import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { AppError } from '../core/error.ts'
import { isDenied, systemRefusal } from '../core/system-error.ts'
import type { SecretSource } from '../core/settings/secret-source.ts'
import type { SecretReader } from '../ports/secret.ts'

/** A secret is at most so long. */
const SECRET_BYTES_MAX = 4096

/** The SecretReader of the daemon and the CLI. @param env where variables are looked up */
export function secretReader(env: Readonly<Record<string, string | undefined>>): SecretReader {
  return (source) => readSecret(source, env)
}

/** The owner of a secret: the running service, or a person for one command. */
export type SecretOwner = 'service' | 'person'

export function readSecret(
  source: SecretSource,
  env: Readonly<Record<string, string | undefined>>,
  owner: SecretOwner = 'service',
): string {
  if ('file' in source) return secretFrom(readSecretFile(source.file, owner), `the file ${source.file}`)
  const value = env[source.env]
  if (value === undefined) {
    const hint = 'Set it for the process that runs Lockstep, or keep the secret in a file.'
    throw new AppError('config-invalid', `the environment variable ${source.env} is not set`, { hint })
  }
  return secretFrom(value, `the environment variable ${source.env}`)
}

/** Drops one line end and refuses a text that can be no secret. @param where names the place in error texts */
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

function readSecretFile(file: string, owner: SecretOwner): string {
  let descriptor: number
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw secretFileError(file, error, owner)
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

function secretFileError(file: string, error: unknown, owner: SecretOwner): AppError {
  const whose = owner === 'service' ? ', owned by the user that Lockstep runs as' : ''
  const ifDenied =
    owner === 'service'
      ? 'Give it to the user that Lockstep runs as (chown), mode 0600; a mounted secret: mode 0440, with the group of the service.'
      : 'Run this as root, or as the owner of that file; the service never needs it.'
  const marks = { ifMissing: `Write the secret into it, mode 0600${whose}.`, ifDenied }
  return unreadable(`the secret file ${file}`, error, marks)
}

/** @param what the file, as a sentence begins with it; @param hints what to do */
export function unreadable(
  what: string,
  error: unknown,
  marks: { readonly ifMissing: string; readonly ifDenied: string },
): AppError {
  const { errno, code, why } = systemRefusal(error)
  if (errno === 'ENOENT' || errno === 'ENOTDIR')
    return new AppError('config-invalid', `${what} does not exist`, { hint: marks.ifMissing, cause: error })
  if (isDenied(error))
    return new AppError(code, `${what} may not be read by this user`, { hint: marks.ifDenied, cause: error })
  return new AppError(code, `${what} cannot be read: ${why}`, { cause: error })
}
