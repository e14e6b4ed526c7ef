import { secretReader } from '../../config/secret.ts'
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { toAppError } from '../../core/error.ts'
import type { MailAddress } from '../../core/mail/mail-address.ts'
import { directoryOf, parseLogin, parseRealm } from '../../core/names.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { isThere } from '../../core/system-error.ts'
import { openDirectories } from '../../directory/open-directories.ts'
import { systemClock } from '../../ports/clock.ts'
import type { ProbeAccount, Trial } from './directory/account.ts'
import { clockFindings } from './clock.ts'
import { directoryFindings } from './directory/directory.ts'
import { healthFindings } from './health.ts'
import { checkIdentity } from './identity.ts'
import { checkLocks } from './locks.ts'
import { lossFindings } from './losses.ts'
import { machineFindings, type MachineFacts } from './machine.ts'
import { runningFindings } from './running.ts'
import { portFindings } from './port.ts'
import { privacyIdeaFindings, type SourceDiagnosis } from './privacyidea/privacyidea.ts'
import type { RunningConfig } from '../../store/servers/running-config.ts'
import { Findings, troubleOf, type Finding } from './findings.ts'
import { accountOfLogin } from '../accounts/account-of-login.ts'
import { openStoreOf } from '../../app/state-store.ts'

export interface DiagnosisOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The daemon's configuration; null or left out: none runs, or it is not recorded. */
  readonly running?: RunningConfig | null
  /** Why the file cannot be read, where the daemon's configuration is used instead; null: it can. */
  readonly mistake?: string | null
  /** A test account whose lock and serial may be set and reverted; null: nothing is written. */
  readonly probeLogin: string | null
  readonly probeRealm: string | null
  /** The test account's own password, to check that a bind is refused. */
  readonly probePassword: string | null
  /** How to read privacyIDEA, where it is configured. */
  readonly source?: Omit<SourceDiagnosis, 'readSecret'> | undefined
  readonly whoMay?: NonNullable<MachineFacts['whoMay']>
  /** A recipient for the check of the mail server; null: the help desk's addresses. Nothing is sent to them. */
  readonly mailTo?: MailAddress | null
  /** For people: the current check. */
  readonly onStep: (text: string) => void
}

/** Everything that a lock will need, tried now. Never fails because of a finding. */
export async function diagnose(settings: Settings, options: DiagnosisOptions): Promise<readonly Finding[]> {
  options.onStep('looking at this machine')
  const facts = { env: options.env, nowMs: Date.now(), nodeVersion: process.version, whoMay: options.whoMay }
  const findings: Finding[] = [
    ...machineFindings(settings, facts),
    ...(await clockFindings(settings, facts.nowMs)),
    ...runningFindings(settings, options.running ?? null, options.mistake ?? null),
  ]
  findings.push(...(await portFindings(settings, options.running?.settings ?? null)))
  findings.push(...(await healthFindings(settings)))
  options.onStep('looking at privacyIDEA')
  const how = { admin: null, scriptsDir: null, ...options.source, readSecret: secretReader(options.env) }
  findings.push(...(await privacyIdeaFindings(settings, how)))
  findings.push(...(await lossFindings(settings)))
  if (settings.mail === null) {
    const found = new Findings('mail')
    found.skip('mail', {
      what: 'not looked at, since the configuration has no section mail',
      why: 'Nobody is notified of locks.',
      fix: 'Write mail: { smtp: …, from: … } where it is wanted (docs/reference/configuration.md).',
    })
    findings.push(...found.all)
  } else {
    options.onStep('looking at mail')
    const { mailFindings } = await import('./mail.ts')
    findings.push(...(await mailFindings(settings.mail, secretReader(options.env), options.mailTo ?? null)))
  }
  const probed = await probedAccount(settings, options)
  for (const directory of settings.directories) {
    options.onStep(`looking at directory ${directory.name}`)
    const account = directory.name === probed?.directory ? probed.account : null
    const found = await directoryFindings(directory, account)
    await checkIdentity(found.findings, settings, directory)
    await checkLocks(found.findings, settings, directory)
    if (found.trial !== null) await rememberTrial(found.findings, settings, directory.name, found.trial)
    findings.push(...found.findings.all)
  }
  return findings
}

interface Probed {
  readonly directory: string | undefined
  readonly account: ProbeAccount
}

/** A failing directory reports its error itself, with the advice. */
async function probedAccount(settings: Settings, options: DiagnosisOptions): Promise<Probed | null> {
  const { probeLogin: text, probeRealm: realm, probePassword: password } = options
  if (text === null) return null
  const login = parseLogin(text)
  const ofRealm = parseRealm(realm ?? '')
  const asGiven = { login: text, realm, password, error: null, note: null }
  const directory = probedDirectory(settings, realm)
  if (login === null) return { directory, account: asGiven }
  await using directories = openDirectories(settings, systemClock)
  try {
    const access = { settings, directory: directories, store: null, isRecordEnough: false }
    const found = await accountOfLogin(access, login, ofRealm)
    const account = { ...asGiven, login: found.login, realm: found.realm ?? realm, note: found.note }
    return { directory: directoryOf(found.account.key), account }
  } catch (thrown) {
    const error = toAppError(thrown)
    return { directory, account: { ...asGiven, error: error.code.startsWith('directory-') ? null : error } }
  }
}

/**
 * The directory of the trial where no account is found: the realm's first directory, else the only one, else the first.
 */
function probedDirectory(settings: Settings, realm: string | null): string | undefined {
  const mapped = Object.entries(settings.realms).find(([name]) => name === realm?.toLowerCase())?.[1]
  return mapped?.[0] ?? settings.directories[0]?.name
}

/**
 * Records the result of a trial where the directory itself does not report it. Commands that only read must not create
 * the store: as root it would be root's.
 */
async function rememberTrial(found: Findings, settings: Settings, directory: string, trial: Trial): Promise<void> {
  const { isEnforced, effective, url } = trial
  if (isEnforced === null || effective !== 'unknown') return
  const { file } = settings.store
  try {
    if (isEnforced ? process.getuid?.() === 0 && !isThere(dirname(file), statSync) : !isThere(file, statSync)) return
    await using store = await openStoreOf(settings, true)
    await store.lockProofs.note(directory, isEnforced ? url : null)
    if (isEnforced)
      found.ok('lock-proof', 'the trial is on record for 90 days, and vouches for the locks that are written')
  } catch (error) {
    const trouble = troubleOf(error, 'Locks are shown with "effective: unknown" until it is.')
    found.warn('lock-proof', { ...trouble, what: `the trial could not be put on record: ${trouble.what}` })
  }
}
