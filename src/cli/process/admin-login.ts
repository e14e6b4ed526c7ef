import { resolve } from 'node:path'
import { readSecret } from '../../config/secret.ts'
import { AppError } from '../../core/error.ts'
import type { Settings, SourceSettings } from '../../core/settings/settings.ts'
import type { AdminOptions } from './admin-options.ts'
import type { CliIo } from '../terminal/io.ts'
import type { Prompt } from '../terminal/prompt.ts'

/** An administrator of privacyIDEA, for one run: their password is stored nowhere, and never in the arguments. */
export interface AdminAccess {
  readonly source: SourceSettings
  readonly user: string
  readonly password: string
}

export const ADMIN_PASSWORD = 'LOCKSTEP_SETUP_PASSWORD'
/** For a server that the configuration does not name: the defaults of the section `privacyidea`. */
const CONNECT_TIMEOUT_MS = 5_000
const TIMEOUT_MS = 30_000

/**
 * The server and the account; missing values are asked for at a terminal. Fails with `usage`, and as reading secrets
 * does.
 */
export async function adminAccess(
  options: AdminOptions,
  settings: Settings | null,
  prompt: Prompt | null,
  io: CliIo,
): Promise<AdminAccess> {
  const known = settings?.privacyidea ?? null
  const { url, caFile } = serverFrom(options, known, io)
  const user = options.user ?? (await needed(prompt, '--user', 'Administrator of privacyIDEA, for this one time'))
  const password = await adminPassword(options.passwordFile, prompt, io)
  const source: SourceSettings = {
    url,
    login: { kind: 'password', user, realm: options.adminRealm ?? null, password: { env: ADMIN_PASSWORD } },
    caFile,
    connectTimeoutMs: known?.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    timeoutMs: Math.max(known?.timeoutMs ?? 0, TIMEOUT_MS),
    connectionsMax: 1,
    pageSize: known?.pageSize ?? 100,
    knownToken: null,
  }
  return { source, user, password }
}

/**
 * @param file from a flag; else the environment variable, else a prompt. Fails with `usage`, and as reading secrets
 *   does.
 */
export async function adminPassword(file: string | undefined, prompt: Prompt | null, io: CliIo): Promise<string> {
  if (file !== undefined) return readSecret({ file: resolve(io.cwd, file) }, io.env, 'person')
  if ((io.env[ADMIN_PASSWORD] ?? '') !== '') return readSecret({ env: ADMIN_PASSWORD }, io.env, 'person')
  if (prompt !== null) return prompt.askSecret("The administrator's password (not shown)")
  throw new AppError('usage', 'the password is missing, and there is no terminal to ask at', {
    hint: `Give --password-file, or set ${ADMIN_PASSWORD}. It is never taken from the command line.`,
  })
}

/** Asks before privacyIDEA is changed. Fails with `usage` where the answer is no, or there is no terminal. */
export async function confirmChange(prompt: Prompt | null): Promise<void> {
  if (prompt === null) {
    throw new AppError('usage', 'nothing was changed: there is no terminal to ask at', {
      hint: 'Give --yes to make these changes, or --dry-run to see them only.',
    })
  }
  const answer = await prompt.ask('Make these changes? yes or no', 'no')
  if (!/^y(es)?$/i.test(answer)) throw new AppError('usage', 'nothing was changed')
}

function serverFrom(
  options: AdminOptions,
  known: SourceSettings | null,
  io: CliIo,
): { url: string; caFile: string | null } {
  const caFile = options.ca === undefined ? (known?.caFile ?? null) : resolve(io.cwd, options.ca)
  if (options.url === undefined) {
    if (known !== null) return { url: known.url, caFile }
    throw new AppError('usage', 'which privacyIDEA? The configuration has no section privacyidea', {
      hint: 'Give --url https://pi.example.org.',
    })
  }
  const url = URL.canParse(options.url) ? new URL(options.url) : null
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '') {
    throw new AppError('usage', '--url is no address such as https://pi.example.org')
  }
  return { url: options.url.replace(/\/+$/, ''), caFile }
}

async function needed(prompt: Prompt | null, flag: string, question: string): Promise<string> {
  if (prompt !== null) return prompt.ask(question, 'admin')
  throw new AppError('usage', `${flag} is missing, and there is no terminal to ask at`, {
    hint: `Give --user, and --password-file or ${ADMIN_PASSWORD}.`,
  })
}
