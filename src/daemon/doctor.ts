import { secretReader } from '../config/secret.ts'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { toAppError } from '../core/error.ts'
import type { Settings } from '../core/settings.ts'
import type { Trial } from './doctor-account.ts'
import { directoryFindings } from './doctor-directory.ts'
import { checkIdentity } from './doctor-identity.ts'
import { checkLocks } from './doctor-locks.ts'
import { machineFindings } from './doctor-machine.ts'
import { privacyIdeaFindings, type SourceDiagnosis } from './doctor-privacyidea.ts'
import type { Finding, Findings } from './finding.ts'
import { openStoreOf } from './state-store.ts'

export interface DiagnosisOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** A test account whose lock and serial may be set and taken back; null: nothing is written. */
  readonly probeLogin: string | null
  readonly probeRealm: string | null
  /** The test account's own password, to see a bind refused. */
  readonly probePassword: string | null
  /** How to look at privacyIDEA, where the configuration has it. */
  readonly source?: Omit<SourceDiagnosis, 'readSecret'> | undefined
  /** For people: what is looked at now. */
  readonly onStep: (text: string) => void
}

/** Everything that a lock will need, tried now. Never fails for what it finds. */
export async function diagnose(settings: Settings, options: DiagnosisOptions): Promise<readonly Finding[]> {
  options.onStep('looking at this machine')
  const facts = { env: options.env, nowMs: Date.now(), nodeVersion: process.version }
  const findings: Finding[] = [...machineFindings(settings, facts)]
  options.onStep('looking at privacyIDEA')
  const how = { admin: null, scriptsDir: null, ...options.source, readSecret: secretReader(options.env) }
  findings.push(...(await privacyIdeaFindings(settings, how)))
  if (settings.mail !== null) {
    options.onStep('looking at mail')
    const { mailFindings } = await import('./doctor-mail.ts')
    findings.push(...(await mailFindings(settings.mail, secretReader(options.env))))
  }
  const { probeLogin: login, probeRealm: realm, probePassword: password } = options
  const probed = login === null ? null : probedDirectory(settings, realm)
  for (const directory of settings.directories) {
    options.onStep(`looking at directory ${directory.name}`)
    const account = login !== null && directory.name === probed ? { login, realm, password } : null
    const found = await directoryFindings(directory, account)
    await checkIdentity(found.findings, settings, directory)
    await checkLocks(found.findings, settings, directory)
    if (found.trial !== null) await rememberTrial(found.findings, settings, directory.name, found.trial)
    findings.push(...found.findings.all)
  }
  return findings
}

/** The directory that the test account is in: its realm's, else the only one, else the first. */
function probedDirectory(settings: Settings, realm: string | null): string | undefined {
  const mapped = Object.entries(settings.realms).find(([name]) => name === realm?.toLowerCase())?.[1]
  return mapped ?? settings.directories[0]?.name
}

/**
 * Puts on record what a trial showed where the directory itself does not tell. Commands that only look must not make the
 * store: as root it would be root's.
 */
async function rememberTrial(found: Findings, settings: Settings, directory: string, trial: Trial): Promise<void> {
  const { bites, effective, url } = trial
  if (bites === null || effective !== 'unknown') return
  const { file } = settings.store
  if (bites ? !existsSync(dirname(file)) && process.getuid?.() === 0 : !existsSync(file)) return
  try {
    await using store = await openStoreOf(settings, true)
    await store.lockProofs.note(directory, bites ? url : null)
    if (bites) found.ok('lock-proof', 'the trial is on record for 90 days, and vouches for the locks that are written')
  } catch (error) {
    const { message, hint, code } = toAppError(error)
    const why = 'Locks are shown with "effective: unknown" until it is.'
    found.warn('lock-proof', {
      what: `the trial could not be put on record: ${message}`,
      why,
      fix: hint || 'See the message.',
      code,
    })
  }
}
