import { readFile } from 'node:fs/promises'
import { AppError } from '../../core/error.ts'
import { systemRefusal } from '../../core/system-error.ts'
import type { DirectorySettings } from '../../core/settings/settings.ts'

const SECRET_BYTES_MAX = 4096

/**
 * The bind password, read anew for each connection, so that a changed file is picked up. An empty one is refused: a
 * bind without a password succeeds and is anonymous (RFC 4513, 5.1.2).
 */
export async function readBindPassword(settings: DirectorySettings): Promise<string> {
  const source = settings.bindPassword
  const where = 'file' in source ? `file ${source.file}` : `environment variable ${source.env}`
  const text = 'file' in source ? await readSecretFile(settings, source.file) : (process.env[source.env] ?? '')
  const password = text.replace(/\r?\n$/, '')
  if (password === '' || password.length > SECRET_BYTES_MAX) {
    const what = password === '' ? 'empty or missing' : `longer than ${SECRET_BYTES_MAX} characters`
    throw new AppError(
      'directory-bind-refused',
      `directory ${settings.name}: the bind password in ${where} is ${what}`,
      {
        hint: `Put the password of ${settings.bindDn} there.`,
      },
    )
  }
  return password
}

async function readSecretFile(settings: DirectorySettings, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    const reason = systemRefusal(cause).why
    throw new AppError(
      'directory-bind-refused',
      `directory ${settings.name}: cannot read the bind password from ${file}: ${reason}`,
      {
        hint: 'Create the file with mode 0600, owned by the user that Lockstep runs as.',
        cause,
      },
    )
  }
}
