import type { Command } from 'commander'
import type { Trouble } from '../../../contract/verdict.ts'
import type { CliIo } from '../../terminal/io.ts'
import type { ShimsTrial } from '../../../operations/setup/shims-trial.ts'
import { EXIT } from '../../terminal/exit.ts'
import { print, printData, printTable, printText } from '../../terminal/output.ts'
import { loadSettings } from '../../process/settings.ts'
import { becomeOwnerOf } from '../../process/state-owner.ts'
import type { Flags, Texts } from '../../terminal/options.ts'

export function register(program: Command, io: CliIo): void {
  const shims = program.command('shims').description("the scripts for privacyIDEA's script directory")
  shims
    .command('install')
    .description('write lockstep-register, lockstep-lock, lockstep-unlock and lockstep-unregister into a folder')
    .argument('<dir>', "privacyIDEA's script directory (PI_SCRIPT_HANDLER_DIRECTORY of pi.cfg)")
    .option('--spool <dir>', 'folder that they write into (else intake.spool of the configuration)')
    .option(
      '--group <group>',
      "privacyIDEA's group, which may then write into the spool and read nothing (name or number)",
    )
    .option('--json', 'print the result as JSON')
    .action(async (dir: string, options: Texts<'spool' | 'group'> & Flags<'json'>, command: Command) => {
      const { default: path } = await import('node:path')
      const { installShims } = await import('../../../operations/setup/shims-install.ts')
      const spool = options.spool ?? (await loadSettings(command, io)).intake.spool
      const done = await installShims({
        dir: path.resolve(io.cwd, dir),
        spool: path.resolve(io.cwd, spool),
        group: options.group ?? null,
      })
      if (options.json === true) return printData(io, done)
      const rows = [
        ...done.scripts.map((each) => ({ path: each.path, state: each.action, mode: '0755' })),
        ...done.folders.map((each) => ({ path: `${each.path}/`, state: each.action, mode: each.mode })),
      ]
      printTable(io, rows, [
        { title: 'path', value: (row) => row.path, movesBelow: true },
        { title: 'mode', value: (row) => row.mode },
        { title: 'state', value: (row) => row.state },
      ])
      print(io, `\nNext:\n${done.nextSteps.map((step) => `  ${step}`).join('\n')}`)
    })
  shims
    .command('test')
    .description('run each script as the user that privacyIDEA runs as, and look whether its event arrives; takes root')
    .argument('<dir>', "privacyIDEA's script directory")
    .option('--pi-user <user>', 'that user (else the one whose group the folder has)')
    .option('--json', 'print the result as JSON')
    .action((dir: string, options: Texts<'piUser'> & Flags<'json'>, command: Command) =>
      test(dir, options, command, io),
    )
}

/** Exits with 78 where an event does not arrive, and with 77 where the scripts could not be run as that user. */
async function test(dir: string, options: Texts<'piUser'> & Flags<'json'>, command: Command, io: CliIo): Promise<void> {
  const { default: path } = await import('node:path')
  const { arrivalsOf, runShims } = await import('../../../operations/setup/shims-trial.ts')
  const settings = await loadSettings(command, io)
  const trial = await runShims(path.resolve(io.cwd, dir), options.piUser ?? null)
  becomeOwnerOf(settings)
  const verdicts = await arrivalsOf(settings, trial)
  const hasFailed = verdicts.some(({ is }) => is === 'failed')
  io.exitCode = trial.user === null ? EXIT.noPermission : hasFailed ? EXIT.config : EXIT.ok
  const { user, why, next } = trial
  const data = { dir: trial.dir, user, why, scripts: verdicts }
  if (options.json === true) return printData(io, data, troubleOf(trial, hasFailed))
  if (user === null) {
    print(io, `The scripts in ${trial.dir} were not run: ${why}.`)
    return next === undefined ? undefined : printText(io, `Next: ${next}`)
  }
  printTable(io, verdicts, [
    { title: 'script', value: ({ name }) => name },
    { title: `as ${user}`, value: ({ is }) => is },
    { title: 'what is wrong', value: ({ trouble }) => trouble, movesBelow: true },
  ])
}

function troubleOf(trial: ShimsTrial, hasFailed: boolean): Trouble | null {
  if (trial.user === null) {
    const message = `the scripts in ${trial.dir} were not run: ${trial.why}`
    return { code: 'not-asked', message, hint: trial.next ?? 'Name that user with --pi-user, and run it as root.' }
  }
  if (!hasFailed) return null
  return { code: 'has-findings', message: 'the event of a script did not arrive', hint: 'scripts shows what is wrong.' }
}
