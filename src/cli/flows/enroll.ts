import { age } from '../../core/format/age.ts'
import { counted } from '../../core/format/counted.ts'
import { basename, resolve } from 'node:path'
import type { Command } from 'commander'
import type { Trouble } from '../../contract/verdict.ts'
import { secretReader } from '../../config/secret.ts'
import {
  distinct,
  ENROLL_TYPES,
  parseRate,
  ROLLOUT_NAME,
  type Enrollee,
  type EnrollType,
} from '../../core/source/enrollment.ts'
import { AppError, isErrorCode } from '../../core/error.ts'
import { parseLogin, parseRealm, partedLogin, type DirectoryName, type Login, type Realm } from '../../core/names.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { openEnrolments, shownQrCode, type EnrollAccess, type Enrolments } from '../../operations/enrollment/enroll.ts'
import { openLog, type Log } from '../../app/log.ts'
import { enrollmentRights, refuseWithoutRights } from '../../operations/setup/needed-rights.ts'
import { readRolloutFile } from '../../operations/enrollment/rollout-file.ts'
import type { RolloutReport, RolloutRow } from '../../reconcile/enrollment/rollout.ts'
import { adminAccess } from '../process/admin-login.ts'
import type { AdminOptions } from '../process/admin-options.ts'
import { EXIT, exitOf } from '../terminal/exit.ts'
import type { CliIo } from '../terminal/io.ts'
import { personOf } from '../process/person.ts'
import { note, plain, print, printData, printTable, printText, progress } from '../terminal/output.ts'
import { openPrompt } from '../terminal/prompt.ts'
import { loadBeside, loadConfigFor } from '../process/settings.ts'
import type { Flags, Given, Texts } from '../terminal/options.ts'

/** `lockstep enroll`: one user at the terminal or by mail, or a roll-out that can be interrupted and continued. */
export type EnrollOptions = AdminOptions &
  Given<'type' | 'rate'> &
  Flags<'mail' | 'evenWithToken' | 'dryRun' | 'json'> &
  Texts<'realm' | 'csv' | 'group' | 'directory' | 'rollout'>

/** Rows that a table shows; JSON has all. */
const ROWS_MAX = 200

export async function runEnroll(
  login: string | undefined,
  options: EnrollOptions,
  command: Command,
  io: CliIo,
): Promise<void> {
  checkWays(login, options)
  // Named files are read with the caller's own rights; the rest is done as the owner of the store.
  const { settings: named } = await loadConfigFor(command, io)
  const access = await accessOf(options, named, io)
  const usual = { realm: realmOf(options, named), type: typeOf(options) }
  const listed = options.csv === undefined ? null : await readRolloutFile(resolve(io.cwd, options.csv), usual)
  const rights = enrollmentRights(listed?.map(({ type }) => type) ?? [typeOf(options)])
  if (options.dryRun !== true) await refuseWithoutRights(access.source, access.readSecret, rights, 'enroll')
  const settings = await settingsBeside(command, io)
  const order: Order = { options, settings, access, io, log: openLog(io.stderr, false) }
  if (login === undefined) await rollOutTo(order, listed)
  else await enrollOne(login, order)
}

/** Tokens and mails depend on this command's configuration file; accounts are found as the daemon finds them. */
async function settingsBeside(command: Command, io: CliIo): Promise<Settings> {
  const { settings, file, difference } = await loadBeside(command, io)
  if (difference !== null) {
    const { differenceText } = await import('../../app/running-beside.ts')
    note(io, `lockstep: ${file.file}: ${differenceText(difference, Date.now())}`)
    note(io, '  Tokens are made and mails are sent as this file says; accounts are found as the daemon finds them.')
  }
  return { ...settings, privacyidea: file.privacyidea, mail: file.mail }
}

/** Contradicting options are reported before anything is read. */
function checkWays(login: string | undefined, options: EnrollOptions): void {
  const ways = [login, options.csv, options.group].filter((each) => each !== undefined)
  if (ways.length !== 1) throw new AppError('usage', 'name one of: a user, --csv FILE, --group DN')
  if (login === undefined && options.mail !== true && options.dryRun !== true) {
    throw new AppError('usage', 'a roll-out needs --mail: nobody else would get the QR codes', {
      hint: 'The secrets of new tokens are kept nowhere.',
    })
  }
  if (login !== undefined && options.rollout !== undefined) {
    throw new AppError('usage', '--rollout belongs to --csv and --group')
  }
  typeOf(options)
  rateOf(options)
}

async function accessOf(options: EnrollOptions, settings: Settings, io: CliIo): Promise<EnrollAccess> {
  if (options.user === undefined && options.url === undefined) {
    if (settings.privacyidea === null) {
      throw new AppError('config-invalid', 'the section privacyidea is missing in the configuration', {
        hint: 'Write it (docs/how-to/privacyidea-api.md), or give --url and --user.',
      })
    }
    return { source: settings.privacyidea, readSecret: secretReader(io.env) }
  }
  using prompt = openPrompt(io)
  const { source, password } = await adminAccess(options, settings, prompt, io)
  return { source: { ...source, connectionsMax: 4 }, readSecret: () => password }
}

/** What was asked for, and what it is done with. */
interface Order {
  readonly options: EnrollOptions
  readonly settings: Settings
  readonly access: EnrollAccess
  readonly io: CliIo
  readonly log: Log
}

async function enrollOne(login: string, { options, settings, access, io, log }: Order): Promise<void> {
  const withMail = options.mail === true
  const isDryRun = options.dryRun === true
  if (!withMail && !isDryRun && !io.stdout.isTTY) {
    throw new AppError('usage', 'give --mail: the QR code is shown on a terminal only', {
      hint: 'Into a file or a pipe it would leave the secret there.',
    })
  }
  const parsed = parseLogin(login)
  if (parsed === null) throw new AppError('usage', 'the login is none')
  const given = realmOf(options, settings)
  if (given === null && partedLogin(login) === null) {
    throw new AppError('usage', 'which realm? Give --realm, or LOGIN@REALM', { hint: realmHint(settings) })
  }
  await using opened = await openEnrolments(settings, access, { withMail, env: io.env, log })
  const user = await userNamed(parsed, given, options.realm !== undefined, opened, io)
  const { realm } = user
  const enrollee: Enrollee = { ...user, type: typeOf(options) }
  const outcome = await opened.one(enrollee, { actor: personOf(io), isDryRun })
  if (outcome.kind === 'skipped' || outcome.kind === 'failed') {
    throw new AppError(isErrorCode(outcome.code) ? outcome.code : 'unknown-user', `${login}: ${outcome.why}`, {
      hint: 'No token was made.',
    })
  }
  const serial = outcome.kind === 'made' ? outcome.serial : null
  if (options.json === true) {
    const mailed = withMail && !isDryRun
    return printData(io, { login: user.login, realm, type: enrollee.type, serial, mailed, dryRun: isDryRun })
  }
  if (outcome.kind !== 'made')
    return printText(io, `${login} would get a new ${enrollee.type} token; nothing was made (dry run)`)
  printText(io, `${login} has the new token ${outcome.serial}${withMail ? ', and mail with its QR code' : ''}`)
  if (withMail) return
  print(io, await shownQrCode(outcome.otpauth))
  note(io, 'It is shown this once, and kept nowhere.')
}

/** @param isOrdered the realm was given by `--realm`: the login must be in it */
async function userNamed(
  login: Login,
  realm: Realm | null,
  isOrdered: boolean,
  opened: Enrolments,
  io: CliIo,
): Promise<Pick<Enrollee, 'login' | 'realm'>> {
  if (realm !== null && partedLogin(login) === null) return { login, realm }
  const { note: remark, ...user } = await opened.named(login, isOrdered ? realm : null)
  if (remark !== null) note(io, `lockstep: ${plain(remark)}`)
  return user
}

async function rollOutTo(order: Order, listed: readonly Enrollee[] | null): Promise<void> {
  const { options, settings, access, io, log } = order
  const name = rolloutName(options)
  await using opened = await openEnrolments(settings, access, { withMail: options.mail === true, env: io.env, log })
  const { enrollees, again } = distinct(listed ?? (await enrolleesOfGroup(order, opened)))
  if (again > 0) note(io, `${counted(again, 'line')} named a user again; each gets one token`)
  const abort = new AbortController()
  const stop = (): void => abort.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop)
  const startedMs = performance.now()
  let report: RolloutReport
  {
    using line = progress(io)
    report = await opened.all(enrollees, {
      rollout: name,
      actor: personOf(io),
      isDryRun: options.dryRun === true,
      onlyWithout: options.evenWithToken !== true,
      everyMs: rateOf(options),
      signal: abort.signal,
      onProgress: ({ seen, of, made }) => {
        const perSecond = (seen * 1000) / (performance.now() - startedMs)
        const leftS = perSecond > 0 ? Math.ceil((of - seen) / perSecond) : 0
        line.step(
          `${seen} of ${counted(of, 'user')}, ${counted(made, 'new token')}, ${perSecond.toFixed(1)}/s, ${age(leftS * 1000)} left`,
        )
      },
    })
  }
  process.off('SIGINT', stop).off('SIGTERM', stop)
  const { stopped, failed } = report
  if (stopped !== null && stopped.code !== 'broken-off') io.exitCode = exitOf(stopped.code)
  else if (stopped !== null || failed.length > 0) io.exitCode = EXIT.tempFail
  if (options.json === true) printData(io, { ...report, namedAgain: again }, troubleOf(report))
  else printReport(io, report)
}

function troubleOf({ stopped, failed }: RolloutReport): Trouble | null {
  const hint = 'The same command goes on where this ended.'
  if (stopped !== null) {
    const code = stopped.code === 'broken-off' ? 'not-done-yet' : stopped.code
    return { code, message: stopped.message, hint: stopped.hint === '' ? hint : `${stopped.hint} ${hint}` }
  }
  return failed.length === 0
    ? null
    : { code: 'not-done-yet', message: `${counted(failed.length, 'user')} failed`, hint }
}

function printReport(io: CliIo, report: RolloutReport): void {
  const rows = (all: readonly RolloutRow[], what: string): { what: string; row: RolloutRow }[] =>
    all.map((row) => ({ what, row }))
  const reported = [...rows(report.failed, 'failed'), ...rows(report.skipped, 'skipped')]
  if (reported.length > 0) {
    printTable(io, reported.slice(0, ROWS_MAX), [
      { title: 'login', value: ({ row }) => row.login },
      { title: 'realm', value: ({ row }) => row.realm },
      { title: 'result', value: ({ what }) => what },
      { title: 'why', value: ({ row }) => row.why, movesBelow: true },
    ])
    if (reported.length > ROWS_MAX) note(io, `and ${reported.length - ROWS_MAX} more (--json lists all)`)
  }
  const { made, doneBefore, skipped, failed, left, stopped } = report
  const verb = report.dryRun ? 'would get' : 'got'
  print(
    io,
    `roll-out ${report.rollout}: ${made.length} of ${counted(report.users, 'user')} ${verb} a new token and its mail, ${doneBefore} had it before, ${skipped.length} skipped, ${failed.length} failed`,
  )
  if (stopped === null) return
  note(io, `lockstep: ${stopped.message}\n  ${left} were not looked at. The same command goes on where this ended.`)
  if (stopped.hint !== '') note(io, `  ${stopped.hint}`)
}

async function enrolleesOfGroup({ options, settings }: Order, opened: Enrolments): Promise<readonly Enrollee[]> {
  const type = typeOf(options)
  const realm = realmOf(options, settings)
  const directory = directoryOf(options, settings)
  const ofDirectory = realm ?? onlyRealmOf(settings, directory)
  if (ofDirectory === null) throw new AppError('usage', 'which realm? Give --realm', { hint: realmHint(settings) })
  return opened.ofGroup({ directory, dn: options.group ?? '', realm: ofDirectory, type })
}

function directoryOf({ directory }: EnrollOptions, { directories }: Settings): DirectoryName {
  const names = directories.map(({ name }) => name)
  const found =
    directory === undefined ? (names.length === 1 ? names[0] : undefined) : names.find((each) => each === directory)
  if (found !== undefined) return found
  const problem = directory === undefined ? 'which directory? Give --directory' : `there is no directory ${directory}`
  throw new AppError('usage', problem, { hint: `There are ${names.join(', ')}.` })
}

function onlyRealmOf({ realms }: Settings, directory: DirectoryName): Realm | null {
  const found = Object.entries(realms).filter(([, names]) => names.includes(directory))
  const [realm] = found.length === 1 ? (found[0] ?? []) : []
  return realm === undefined ? null : parseRealm(realm)
}

/** Null where none is given and the configuration does not have exactly one. */
function realmOf({ realm }: EnrollOptions, { realms }: Settings): Realm | null {
  if (realm !== undefined) {
    const parsed = parseRealm(realm)
    if (parsed === null) throw new AppError('usage', '--realm is no name of a realm')
    return parsed
  }
  const [only, ...more] = Object.keys(realms)
  return only === undefined || more.length > 0 ? null : parseRealm(only)
}

function realmHint({ realms }: Settings): string {
  const names = Object.keys(realms)
  return names.length === 0 ? 'It is the realm of the user in privacyIDEA.' : `There are ${names.join(', ')}.`
}

function typeOf({ type }: EnrollOptions): EnrollType {
  const found = ENROLL_TYPES.find((each) => each === type.toLowerCase())
  if (found === undefined) throw new AppError('usage', `--type ${type}: expected one of ${ENROLL_TYPES.join(', ')}`)
  return found
}

function rateOf({ rate }: EnrollOptions): number {
  const everyMs = parseRate(rate)
  if (everyMs === null) throw new AppError('usage', `--rate ${rate}: expected a rate such as 4/s, 120/m or 1000/h`)
  return everyMs
}

/** A file has its name in any folder; a group has its own. */
function rolloutName({ rollout, csv, group }: EnrollOptions): string {
  const made =
    rollout ?? (csv === undefined ? (group ?? '') : basename(csv)).replace(/[^A-Za-z0-9._-]+/g, '-').slice(0, 64)
  if (ROLLOUT_NAME.test(made)) return made
  throw new AppError('usage', '--rollout: expected up to 64 letters, digits, dots, _ and -', {
    hint: rollout === undefined ? 'Give the roll-out a name of its own.' : '',
  })
}
