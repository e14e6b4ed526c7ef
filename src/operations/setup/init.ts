import { randomBytes } from 'node:crypto'
import { rmSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { TYPE_TRAITS } from '../../core/settings/directory-type.ts'
import { AppError } from '../../core/error.ts'
import { checkConfig } from '../../config/check.ts'
import { parseConfig } from '../../config/load.ts'
import { readSecret, secretFrom } from '../../config/secret.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { isThere } from '../../core/system-error.ts'
import { adviceOf } from '../advice/directory-advice.ts'
import { configText, type InitAnswers, type InitRequest } from './init-template.ts'
import { makeFolder, writeWhole } from '../../app/private-file.ts'
import { lookUp } from './system-users.ts'

/** Writes the first configuration of a machine, and the files of secrets beside it. */

export interface InitResult {
  readonly file: string
  /** Every file that was written, with its mode as `ls` shows it. */
  readonly written: readonly { readonly path: string; readonly mode: string }[]
  readonly nextSteps: readonly string[]
}

const SERVICE_USER = 'lockstep'
const SECRET_BYTES = 24
const CONFIG_MODE = 0o644
const SECRET_MODE = 0o600

/** The settings of a request, checked; nothing is written. Fails with `config-invalid`, `usage`. */
export function settingsOf(request: InitRequest): Settings {
  return parseConfig(configText(answersOf(request)), request.file).settings
}

/** The password, for a trial. */
export function passwordOf(request: InitRequest): string {
  const { bindPassword } = request
  return 'text' in bindPassword ? secretFrom(bindPassword.text, 'the bind password') : readSecret(bindPassword, {})
}

/**
 * Writes the secrets, then the configuration, each as a whole. What is written passes `lockstep check`.
 * Fails with `usage` (a file exists already), `config-invalid`, `file-not-permitted`, `disk-full`, `file-io`.
 */
export async function writeConfig(request: InitRequest): Promise<InitResult> {
  const text = configText(answersOf(request))
  parseConfig(text, request.file)
  refuseOverwrite(request)
  const owner = process.getuid?.() === 0 ? await serviceUser() : null
  makeFolder(dirname(request.file), 0o755)
  const written: InitResult['written'][number][] = []
  const write = (path: string, content: string, mode: number): void => {
    writeWhole({ path, text: content, mode, owner: mode === SECRET_MODE ? owner : null, replace: request.force })
    written.push({ path, mode: `0${mode.toString(8)}` })
  }
  try {
    if ('text' in request.bindPassword) {
      write(ownPasswordFile(request), `${secretFrom(request.bindPassword.text, 'the bind password')}\n`, SECRET_MODE)
    }
    if (request.listen !== null)
      write(hookSecretFile(request), `${randomBytes(SECRET_BYTES).toString('base64url')}\n`, SECRET_MODE)
    write(request.file, text, CONFIG_MODE)
    const bad = checkConfig({ flag: request.file, env: {}, cwd: '/' }).problems.filter(
      (each) => each.severity === 'error',
    )
    if (bad[0] !== undefined) throw new AppError('config-invalid', `${request.file}: ${bad[0].key}: ${bad[0].message}`)
  } catch (error) {
    // Nothing of a failed attempt is left, so that the next one needs no `--force`.
    if (!request.force) for (const each of written) rmSync(each.path, { force: true })
    throw error
  }
  return { file: request.file, written, nextSteps: nextSteps(request, written, owner) }
}

/** Reports obstacles before anything is written or prompted for. */
export function refuseOverwrite(request: Pick<InitRequest, 'file' | 'force' | 'bindPassword' | 'listen'>): void {
  if (request.force) return
  const files = [request.file]
  if ('text' in request.bindPassword) files.push(ownPasswordFile(request))
  if (request.listen !== null) files.push(hookSecretFile(request))
  const there = files.find((file) => isThere(file, statSync))
  if (there === undefined) return
  const hint = 'Name another file with --config, or replace it with --force.'
  throw new AppError('usage', `${there} is there already`, { hint })
}

function answersOf(request: InitRequest): InitAnswers {
  const { stateDir, bindPassword } = request
  const near = (path: string): string => shortest(request.file, path)
  if ('file' in bindPassword) refuseOpenFile(bindPassword.file)
  const { lockAttribute } = adviceOf(request.type)
  return {
    ...request,
    page: TYPE_TRAITS[request.type].page,
    lockAttribute,
    ca: request.ca === null ? null : near(request.ca),
    bindPasswordFile: near('file' in bindPassword ? bindPassword.file : ownPasswordFile(request)),
    hookSecretFile: near(hookSecretFile(request)),
    spool: stateDir === null ? '/var/spool/lockstep' : near(join(stateDir, 'spool')),
    store: stateDir === null ? '/var/lib/lockstep/lockstep.db' : near(join(stateDir, 'lockstep.db')),
    ldifDir: stateDir === null ? '/var/lib/lockstep/ldif' : near(join(stateDir, 'ldif')),
  }
}

function refuseOpenFile(file: string): void {
  const info = statSync(file, { throwIfNoEntry: false })
  if (info === undefined || (info.mode & 0o066) === 0) return
  throw new AppError('config-invalid', `others may read the password file ${file}`, { hint: `Run: chmod 600 ${file}` })
}

/** Relative to the configuration where it lies below its folder, else absolute. */
function shortest(file: string, path: string): string {
  const below = relative(dirname(file), resolve(path))
  return below === '' || below.startsWith('..') ? resolve(path) : below
}

function ownPasswordFile(request: Pick<InitRequest, 'file'>): string {
  return join(dirname(request.file), 'ldap-password')
}

function hookSecretFile(request: Pick<InitRequest, 'file'>): string {
  return join(dirname(request.file), 'hook-secret')
}

/** The user that the unit runs as; null where there is none. */
async function serviceUser(): Promise<{ uid: number; gid: number } | null> {
  const [entry] = await lookUp('passwd', SERVICE_USER)
  return entry === undefined ? null : { uid: Number(entry[2]), gid: Number(entry[3]) }
}

function nextSteps(
  request: InitRequest,
  written: InitResult['written'],
  owner: { readonly uid: number } | null,
): string[] {
  const config = `--config ${request.file}`
  const secrets = written.filter((each) => each.mode === '0600').map((each) => each.path)
  const steps = [
    `lockstep doctor ${config} --probe LOGIN   (a test account: tries a lock and takes it back)`,
    `lockstep shims install DIR ${config}      (DIR: privacyIDEA's script directory)`,
    `lockstep serve ${config}`,
  ]
  if (request.stateDir !== null) {
    steps.push(
      `lockstep status --check ${config}   (for monitoring; under a user of its own it needs health.file, see docs/how-to/monitor.md)`,
    )
  }
  if (request.listen !== null) {
    steps.push(
      `bind the webhook in privacyIDEA   (docs/how-to/privacyidea-events.md; its secret is in ${hookSecretFile(request)})`,
    )
  }
  const given = 'file' in request.bindPassword ? request.bindPassword.file : null
  if (owner !== null && given !== null && statSync(given, { throwIfNoEntry: false })?.uid !== owner.uid) {
    steps.unshift(`chown ${SERVICE_USER} ${given}   (the service could not read it)`)
  }
  const isRoot = process.getuid?.() === 0
  if (isRoot && owner === null && secrets.length > 0) {
    steps.unshift(`chown USER ${secrets.join(' ')}   (USER: who Lockstep will run as)`)
  }
  return steps
}
