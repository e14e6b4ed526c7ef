import { counted } from '../../../core/format/counted.ts'
import type { Command } from 'commander'
import type { Trouble } from '../../../contract/verdict.ts'
import { AppError } from '../../../core/error.ts'
import { parseMailAddress, type MailAddress } from '../../../core/mail/mail-address.ts'
import type { DiagnosisOptions } from '../../../operations/doctor/doctor.ts'
import type { Finding } from '../../../operations/doctor/findings.ts'
import { EXIT, exitOf } from '../../terminal/exit.ts'
import type { CliIo } from '../../terminal/io.ts'
import { isCommand, painter, plain, print, printData, printText, withProgress } from '../../terminal/output.ts'
import { configFlag, loadBeside } from '../../process/settings.ts'
import { whoMay } from '../../process/who-may.ts'
import type { Flags, Texts } from '../../terminal/options.ts'

const PROBE_PASSWORD = 'LOCKSTEP_PROBE_PASSWORD'

type DoctorOptions = Flags<'json'> &
  Texts<'probe' | 'realm' | 'privacyideaAdmin' | 'passwordFile' | 'scriptsDir' | 'piUser' | 'mailTo'>

export function register(program: Command, io: CliIo): void {
  program
    .command('doctor')
    .description('try everything that a lock will need, before the first one')
    .option('--probe <login>', 'a test account (LOGIN or LOGIN@REALM): its lock and serial are set and removed')
    .option('--realm <realm>', 'realm of the test account, where there are several directories')
    .option(
      '--privacyidea-admin <name>',
      'an administrator who may see event handlers and resolvers, for this one time',
    )
    .option('--password-file <file>', 'file that holds their password (else LOCKSTEP_SETUP_PASSWORD, else asked for)')
    .option('--scripts-dir <dir>', "privacyIDEA's script directory, where it is on this machine")
    .option('--pi-user <user>', 'as whom the scripts there are tried (else by the group of that folder); takes root')
    .option('--mail-to <address>', 'whom the mail server is asked about (else the help desk); nothing is sent')
    .option('--json', 'print the result as JSON')
    .action(async (options: DoctorOptions, command: Command) => {
      const startedAsRoot = process.getuid?.() === 0
      const mailTo = addressOf(options.mailTo)
      const { diagnose } = await import('../../../operations/doctor/doctor.ts')
      // Before the command goes on as the owner of the store: a named file is read with the caller's own rights.
      const source = await sourceOptions(options, io)
      const { file, running, mistake } = await loadBeside(command, io, options.probe === undefined)
      // The record is the daemon's, with any present value of the key store; all else is checked as the file states.
      const settings = running === null ? file : { ...file, store: running.settings.store }
      const findings = await withProgress(io, (step) =>
        diagnose(settings, {
          env: io.env,
          running,
          mistake: mistake?.message ?? null,
          probeLogin: options.probe ?? null,
          probeRealm: options.realm ?? null,
          probePassword: io.env[PROBE_PASSWORD] || null,
          source,
          mailTo,
          whoMay: (thrown) => whoMay(thrown, startedAsRoot, commandLine(command)),
          onStep: step,
        }),
      )
      io.exitCode = exitCodeOf(findings)
      if (options.json === true)
        printData(io, { counts: countsOf(findings), findings }, troubleOf(findings, io.exitCode))
      else printFindings(io, findings)
    })
}

function addressOf(text: string | undefined): MailAddress | null {
  if (text === undefined) return null
  const address = parseMailAddress(text)
  if (address !== null) return address
  throw new AppError('usage', `--mail-to ${text.slice(0, 100)}: expected a mail address, as in you@example.org`)
}

function commandLine(command: Command): string[] {
  const file = configFlag(command)
  return [...(file === undefined ? [] : ['--config', file]), 'doctor']
}

async function sourceOptions(options: DoctorOptions, io: CliIo): Promise<DiagnosisOptions['source']> {
  const { default: path } = await import('node:path')
  const { privacyideaAdmin: user, scriptsDir: dir } = options
  const scriptsDir = dir === undefined ? null : path.resolve(io.cwd, dir)
  const { runShims } = await import('../../../operations/setup/shims-trial.ts')
  const { USUAL_SCRIPTS_DIR } = await import('../../../operations/doctor/privacyidea/shims.ts')
  const shims = await runShims(scriptsDir ?? USUAL_SCRIPTS_DIR, options.piUser ?? null)
  if (user === undefined) return { admin: null, scriptsDir, shims }
  const { adminPassword } = await import('../../process/admin-login.ts')
  const { openPrompt } = await import('../../terminal/prompt.ts')
  using prompt = openPrompt(io)
  return { admin: { user, password: await adminPassword(options.passwordFile, prompt, io) }, scriptsDir, shims }
}

/** 0 when nothing failed; 75 or 69 when a server could not be reached; 78 when the set-up is incomplete. */
function exitCodeOf(findings: readonly Finding[]): number {
  const failed = findings.filter((finding) => finding.status === 'fail')
  if (failed.length === 0) return EXIT.ok
  const temporary = failed.every((finding) => finding.code !== null && exitOf(finding.code) === EXIT.tempFail)
  return temporary ? EXIT.unavailable : EXIT.config
}

function troubleOf(findings: readonly Finding[], exit: number): Trouble | null {
  if (exit === EXIT.ok) return null
  const failed = findings.filter((finding) => finding.status === 'fail').length
  const code = exit === EXIT.unavailable ? 'not-asked' : 'has-findings'
  return {
    code,
    message: `${failed} of ${counted(findings.length, 'check')} failed`,
    hint: 'fix states for each what to do.',
  }
}

const MARK = { ok: 'ok  ', skip: 'skip', warn: 'warn', fail: 'FAIL' } as const
const STYLE = { ok: 'green', skip: 'dim', warn: 'yellow', fail: 'red' } as const

function printFindings(io: CliIo, findings: readonly Finding[]): void {
  const paint = painter(io)
  let area = ''
  for (const finding of findings) {
    if (finding.area !== area) {
      area = finding.area
      printText(io, paint('bold', area))
    }
    printText(io, `  ${paint(STYLE[finding.status], MARK[finding.status])}  ${inLines(finding.what, 8)}`, { indent: 8 })
    if (finding.why !== '') printText(io, `        why: ${inLines(finding.why, 13)}`, { indent: 13 })
    if (finding.fix !== '') printFix(io, finding.fix)
  }
  printText(io, `\n${summaryOf(countsOf(findings))}`)
}

/** The lines of a text are printed below each other, as in a mistake of the configuration. */
function inLines(text: string, indent: number): string {
  return text
    .split('\n')
    .map(plain)
    .join(`\n${' '.repeat(indent)}`)
}

type Counts = Readonly<Record<Finding['status'], number>>

function countsOf(findings: readonly Finding[]): Counts {
  const of = (status: Finding['status']): number => findings.filter((finding) => finding.status === status).length
  return { ok: of('ok'), skip: of('skip'), warn: of('warn'), fail: of('fail') }
}

function summaryOf({ skip, warn, fail }: Counts): string {
  const skipped = skip === 0 ? '' : `${skip} skipped`
  if (fail + warn > 0) return `${fail} failed, ${warn} to look at${skipped === '' ? '' : `, ${skipped}`}.`
  return skipped === '' ? 'Everything is as it should be.' : `All that was looked at is as it should be; ${skipped}.`
}

/** Several lines are printed at the left edge: LDIF and here-documents must be copied without spaces before them. */
function printFix(io: CliIo, fix: string): void {
  const lines = fix.split('\n').map(plain)
  const [line = ''] = lines
  if (lines.length === 1 && !isCommand(line)) printText(io, `        fix: ${line}`, { indent: 13 })
  else if (lines.length === 1) print(io, `        fix: ${line}`)
  else print(io, `        fix:\n\n${lines.join('\n')}\n`)
}
