import { resolve } from 'node:path'
import { readSecret } from '../config/secret.ts'
import { AppError } from '../core/error.ts'
import type { CliIo } from './io.ts'
import type { Prompt } from './prompt.ts'

/** The password of an administrator of privacyIDEA, for one time: it is kept nowhere, and never in the arguments. */

export const ADMIN_PASSWORD = 'LOCKSTEP_SETUP_PASSWORD'

/** @param file from a flag; else the environment variable, else it is asked for. Fails with `usage`, and as secrets do. */
export async function adminPassword(file: string | undefined, prompt: Prompt | null, io: CliIo): Promise<string> {
  if (file !== undefined) return readSecret({ file: resolve(io.cwd, file) }, io.env)
  if ((io.env[ADMIN_PASSWORD] ?? '') !== '') return readSecret({ env: ADMIN_PASSWORD }, io.env)
  if (prompt !== null) return prompt.askSecret("The administrator's password (not shown)")
  throw new AppError('usage', 'the password is missing, and there is no terminal to ask at', {
    hint: `Give --password-file, or set ${ADMIN_PASSWORD}. It is never taken from the command line.`,
  })
}
