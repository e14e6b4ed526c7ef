import { existsSync } from 'node:fs'
import { counted } from '../../core/format/counted.ts'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Trouble } from '../../contract/verdict.ts'
import { marksText } from '../../core/settings/directory-form.ts'
import { namedFiles } from '../../config/named-files.ts'
import { AppError } from '../../core/error.ts'
import { needsReset, type Settings } from '../../core/settings/settings.ts'
import { directoryCalled } from '../../app/directory-servers.ts'
import { errorsOnly, openLog } from '../../app/log.ts'
import { openSetup, type SetupPlan, type SetupRequest } from '../../operations/setup/privacyidea-setup.ts'
import { planRetire, retire, type RetirePlan, type RetireReport } from '../../operations/accounts/retire.ts'
import { removeShims, shimsIn } from '../../operations/setup/shims-install.ts'
import { openSystem } from '../../app/system.ts'
import { adminAccess } from '../process/admin-login.ts'
import type { AdminOptions } from '../process/admin-options.ts'
import { EXIT } from '../terminal/exit.ts'
import type { CliIo } from '../terminal/io.ts'
import { moment } from '../terminal/moment.ts'
import { givenReason, type Flags, type Texts } from '../terminal/options.ts'
import { personOf } from '../process/person.ts'
import { note, plain, printData, printTable, printText } from '../terminal/output.ts'
import { openPrompt } from '../terminal/prompt.ts'
import { loadForWork, loadSettings, openStoreFor } from '../process/settings.ts'
import { printPlan } from './setup-output.ts'
import { USUAL_SCRIPTS_DIR } from '../../operations/doctor/privacyidea/shims.ts'

export type RetireOptions = AdminOptions & Flags<'yes' | 'cancel' | 'json'> & Texts<'reason' | 'scriptsDir'>

/** `lockstep retire`: what is ours in a directory, its release, and the proof; or all of Lockstep, to uninstall it. */

/** What is of Lockstep beside the directories. */
interface Elsewhere {
  /** Event handlers and policies; null: privacyIDEA was not read. */
  readonly setup: { readonly handlers: number; readonly policies: number; readonly isRemoved: boolean } | null
  /** `dir`: the searched folder; null: the usual folder does not exist, and none was given. */
  readonly shims: { readonly dir: string | null; readonly paths: readonly string[]; readonly isRemoved: boolean }
}

const NOT_PROVEN: Trouble = {
  code: 'not-done-yet',
  message: 'that nothing of ours is left is not proven yet',
  hint: 'data shows what is left; once that is done, give the same command again.',
}

export async function runRetire(
  name: string | null,
  options: RetireOptions,
  command: Command,
  io: CliIo,
): Promise<void> {
  const reason = givenReason(options.reason)
  if (options.cancel === true) return cancel(name, options, reason, command, io)
  // Scripts of privacyIDEA are removed as the calling user; all else is done as the owner of the store.
  const elsewhere = name === null ? await removeElsewhere(await loadSettings(command, io), options, io) : null
  const settings = await loadForWork(command, io, options.yes !== true)
  await using system = await openSystem(settings)
  const names = name === null ? settings.directories.map((each) => each.name) : [directoryCalled(settings, name).name]
  const plans: RetirePlan[] = []
  for (const each of names) plans.push(await planRetire(system, each))
  if (options.json !== true) showPlans(io, plans)
  if (options.yes !== true) {
    io.exitCode = EXIT.ok
    if (options.json === true) return printData(io, { applied: false, directories: plans, elsewhere })
    if (elsewhere !== null) showNotLookedAt(io, options, elsewhere)
    return printText(io, 'Nothing was changed. With --yes it is done.')
  }
  const reports: RetireReport[] = []
  for (const each of names) {
    reports.push(await retire(system, each, { by: personOf(io), reason }, errorsOnly(openLog(io.stderr, false))))
  }
  const isLooked = elsewhere === null || elsewhere.setup !== null
  const isProven = reports.every((report) => report.isProven) && isLooked
  io.exitCode = isProven ? EXIT.ok : EXIT.tempFail
  const done = { applied: true, directories: reports, elsewhere }
  if (options.json === true) return printData(io, done, isProven ? null : NOT_PROVEN)
  for (const { directory, sinceMs } of plans) {
    if (sinceMs !== null)
      note(io, `directory ${directory} was retired already, since ${moment(sinceMs)}; it was searched again`)
  }
  for (const report of reports) showReport(io, report)
  if (elsewhere !== null) showNotLookedAt(io, options, elsewhere)
  showNext(io, name, isProven, settings)
}

async function cancel(
  name: string | null,
  options: RetireOptions,
  reason: string,
  command: Command,
  io: CliIo,
): Promise<void> {
  if (name === null) throw new AppError('usage', '--cancel needs the name of a directory')
  const settings = await loadForWork(command, io)
  await using store = await openStoreFor(settings, true)
  const directory = directoryCalled(settings, name).name
  const changed = await store.retirements.cancel(directory, personOf(io), reason)
  const isCompared = changed && settings.privacyidea !== null
  const isServed = (await store.processLock.daemon()) !== null
  const resync = isCompared ? (isServed ? 'daemon' : 'by-hand') : null
  io.exitCode = EXIT.ok
  if (options.json === true) return printData(io, { directory, changed, resync })
  const what = changed ? `is synchronized again${STILL[resync ?? 'none']}` : 'was not retired'
  printText(io, `directory ${name} ${what}`)
}

/** Changes of a cancelled order that are still pending. */
const STILL = {
  none: '',
  daemon: '; the daemon now compares it with privacyIDEA, for what was enrolled there meanwhile (full resync)',
  'by-hand': '; what was enrolled in privacyIDEA meanwhile is still to come. Next: lockstep resync',
} as const

/** Handlers first, so that no new events come. */
async function removeElsewhere(settings: Settings, options: RetireOptions, io: CliIo): Promise<Elsewhere> {
  const setup = await removeSetup(settings, options, io)
  const usual = existsSync(USUAL_SCRIPTS_DIR) ? USUAL_SCRIPTS_DIR : null
  const dir = options.scriptsDir === undefined ? usual : resolve(io.cwd, options.scriptsDir)
  const paths = dir === null ? [] : await shimsIn(dir)
  if (options.json !== true) for (const path of paths) printText(io, `  - shim ${plain(path)}`)
  if (options.yes !== true || dir === null || paths.length === 0) {
    return { setup, shims: { dir, paths, isRemoved: false } }
  }
  return { setup, shims: { dir, paths: await removeShims(dir), isRemoved: true } }
}

async function removeSetup(settings: Settings, options: RetireOptions, io: CliIo): Promise<Elsewhere['setup']> {
  using prompt = openPrompt(io)
  const isKnown = options.user !== undefined || (prompt !== null && settings.privacyidea !== null)
  if (!isKnown) return null
  const access = await adminAccess(options, settings, prompt, io)
  const request = requestOf(settings, access)
  await using setup = openSetup(request)
  const plan = await setup.plan()
  if (options.json !== true) printPlan(io, request, plan)
  const { handlers, policies } = toRemove(plan)
  const isRemoved = options.yes === true
  if (isRemoved && !plan.isInStep) await setup.apply(plan)
  return { handlers, policies, isRemoved }
}

function requestOf(
  settings: Settings,
  { source, user, password }: Awaited<ReturnType<typeof adminAccess>>,
): SetupRequest {
  const login = settings.privacyidea?.login
  const account = login?.kind === 'password' ? login.user : 'lockstep'
  const { mirrorDirectoryLocks } = settings.policy
  const rights = { resetsTokens: needsReset(settings.policy), mirrorDirectoryLocks }
  const policies = { runTimeAccount: account, setUpAccount: null, ...rights, keepsOthers: false }
  const readSecret = (): string => password
  return { source, readSecret, user, to: 'nothing', hookUrl: '', shims: null, policies, account, rights }
}

function toRemove({ bindings, policies }: SetupPlan): { handlers: number; policies: number } {
  const removed = (changes: readonly { readonly kind: string }[]): number =>
    changes.filter(({ kind }) => kind === 'remove').length
  return { handlers: removed(bindings), policies: removed(policies) }
}

function showPlans(io: CliIo, plans: readonly RetirePlan[]): void {
  printTable(io, plans, [
    { title: 'directory', value: (plan) => plan.directory },
    { title: 'ours', value: (plan) => (plan.locks + plan.serials === 0 ? 'nothing' : marksText(plan)) },
    { title: 'accounts', value: (plan) => String(plan.accounts), align: 'right' },
    { title: 'retired since', value: (plan) => (plan.sinceMs === null ? '-' : moment(plan.sinceMs)) },
  ])
}

function showReport(io: CliIo, report: RetireReport): void {
  const { directory, left, leftCount, others, gone, mayArriveUntilMs, isProven } = report
  const proof = isProven ? 'nothing of ours is left, as a search of the whole directory shows' : 'not finished'
  printText(io, `directory ${directory}: ${proof}`)
  for (const { dn, what, why } of left) note(io, `  ${plain(dn)}: ${plain(what)} (${plain(why)})`)
  if (leftCount > left.length) note(io, `  and ${leftCount - left.length} more`)
  if (mayArriveUntilMs !== null) {
    note(
      io,
      `  a write whose outcome nobody reported may still arrive until ${moment(mayArriveUntilMs)}: run it again then`,
    )
  }
  if (gone > 0) note(io, `  ${counted(gone, 'account')} no longer in the directory`)
  if (others.locks + others.serials > 0) {
    note(
      io,
      `  left alone, since this store neither wrote nor adopted them: ${counted(others.serials, 'serial')}, ${counted(others.locks, 'lock')} with the value of ours`,
    )
  }
}

function showNotLookedAt(io: CliIo, { yes, scriptsDir }: RetireOptions, { setup, shims }: Elsewhere): void {
  if (setup === null) {
    note(io, 'Event handlers and policies in privacyIDEA were not looked at, which takes an administrator. Next:')
    note(io, `  lockstep ${yes === true ? 'privacyidea setup --remove --policies' : 'retire'} --user ADMIN`)
  }
  if (scriptsDir !== undefined) return
  const where = shims.dir === null ? `there is no ${USUAL_SCRIPTS_DIR}, and no shim` : `beside ${shims.dir} no shim`
  note(io, `Shims: ${where} was looked for. Where privacyIDEA has its scripts elsewhere, or on another machine:`)
  note(io, `  lockstep retire --scripts-dir DIR${yes === true ? ' --yes' : ''}`)
}

function showNext(io: CliIo, name: string | null, isProven: boolean, settings: Settings): void {
  if (!isProven) {
    printText(io, 'Next: see to what is named above, then give the command again.')
  } else if (name === null) {
    printText(io, 'Next: systemctl disable --now lockstep, then remove the package and what it leaves:')
    for (const line of placesOf(settings)) printText(io, `  ${line}`, { indent: 17 })
  } else {
    const what = `take directory ${name} out of the configuration or change it`
    printText(io, `Next: ${what}, then: lockstep reload (or start)`)
  }
}

/** Files that Lockstep leaves on this machine, by the configuration in use. */
function placesOf(settings: Settings): string[] {
  const { file, store, ldif, intake, health } = settings
  const secrets = namedFiles(settings).flatMap(({ kind, source }) => {
    return kind === 'secret' && 'file' in source ? [source.file] : []
  })
  const named = [...new Set(secrets)]
  return [
    `configuration  ${plain(file)}`,
    ...named.map((path) => `secret         ${plain(path)}`),
    `store          ${plain(store.file)}, and the files beside it whose names begin so`,
    `LDIF folders   ${plain(ldif.dir)}`,
    `spool          ${plain(intake.spool)}`,
    `health file    ${plain(health.file)}`,
  ]
}
