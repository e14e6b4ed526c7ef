import type { Command } from 'commander'
import type { Finding } from '../../daemon/finding.ts'
import { EXIT, exitOf } from '../exit.ts'
import type { CliIo } from '../io.ts'
import { painter, plain, print, printJson, progress } from '../output.ts'
import { loadForWork } from '../settings.ts'

const PROBE_PASSWORD = 'LOCKSTEP_PROBE_PASSWORD'

export function register(program: Command, io: CliIo): void {
  program
    .command('doctor')
    .description('try everything that a lock will need, before the first one')
    .option('--probe <login>', 'a test account: its lock and serial are set and taken back')
    .option('--realm <realm>', 'realm of the test account, where there are several directories')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `\nWith the test account's password in ${PROBE_PASSWORD} it also tries whether a bind is refused while locked.`,
    )
    .action(async (options: { probe?: string; realm?: string; json?: boolean }, command: Command) => {
      const { diagnose } = await import('../../daemon/doctor.ts')
      const settings = await loadForWork(command, io)
      const findings = await look(io, (step) =>
        diagnose(settings, {
          env: io.env,
          probeLogin: options.probe ?? null,
          probeRealm: options.realm ?? null,
          probePassword: io.env[PROBE_PASSWORD] || null,
          onStep: step,
        }),
      )
      io.exitCode = exitCodeOf(findings)
      if (options.json === true) printJson(io, { ok: io.exitCode === EXIT.ok, findings })
      else printFindings(io, findings)
    })
}

async function look(
  io: CliIo,
  run: (step: (text: string) => void) => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  using shown = progress(io)
  return await run((text) => shown.step(text))
}

/** 0 when nothing failed; 75 or 69 when a server could not be reached; 78 when something has to be set up. */
function exitCodeOf(findings: readonly Finding[]): number {
  const failed = findings.filter((finding) => finding.status === 'fail')
  if (failed.length === 0) return EXIT.ok
  const temporary = failed.every((finding) => finding.code !== null && exitOf(finding.code) === EXIT.tempFail)
  return temporary ? EXIT.unavailable : EXIT.config
}

const MARK = { ok: 'ok  ', warn: 'warn', fail: 'FAIL' } as const
const STYLE = { ok: 'green', warn: 'yellow', fail: 'red' } as const

function printFindings(io: CliIo, findings: readonly Finding[]): void {
  const paint = painter(io)
  let area = ''
  for (const finding of findings) {
    if (finding.area !== area) {
      area = finding.area
      print(io, paint('bold', area))
    }
    print(io, `  ${paint(STYLE[finding.status], MARK[finding.status])}  ${plain(finding.what)}`)
    if (finding.why !== '') print(io, `        why: ${plain(finding.why)}`)
    if (finding.fix !== '') print(io, fixText(finding.fix))
  }
  const failed = findings.filter((finding) => finding.status === 'fail').length
  const warned = findings.filter((finding) => finding.status === 'warn').length
  print(io, failed + warned === 0 ? '\nEverything is as it should be.' : `\n${failed} failed, ${warned} to look at.`)
}

/** Several lines stand at the left edge: LDIF and here-documents must be copied without spaces before them. */
function fixText(fix: string): string {
  const lines = fix.split('\n').map(plain)
  return lines.length === 1 ? `        fix: ${lines[0]}` : `        fix:\n\n${lines.join('\n')}\n`
}
