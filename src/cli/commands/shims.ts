import type { Command } from 'commander'
import type { CliIo } from '../io.ts'
import { print, printJson, printTable } from '../output.ts'
import { loadSettings } from '../settings.ts'

interface InstallOptions {
  readonly spool?: string
  readonly group?: string
  readonly json?: boolean
}

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
    .action(async (dir: string, options: InstallOptions, command: Command) => {
      const { default: path } = await import('node:path')
      const { installShims } = await import('../../daemon/shims-install.ts')
      const spool = options.spool ?? (await loadSettings(command, io)).intake.spool
      const done = await installShims({
        dir: path.resolve(io.cwd, dir),
        spool: path.resolve(io.cwd, spool),
        group: options.group ?? null,
      })
      if (options.json === true) {
        printJson(io, done)
        return
      }
      const rows = [
        ...done.scripts.map((each) => ({ path: each.path, state: each.action, mode: '0755' })),
        ...done.folders.map((each) => ({ path: `${each.path}/`, state: each.action, mode: each.mode })),
      ]
      printTable(io, rows, [
        { title: 'path', value: (row) => row.path, shrinks: true },
        { title: 'mode', value: (row) => row.mode },
        { title: 'state', value: (row) => row.state },
      ])
      print(io, `\nNext:\n${done.nextSteps.map((step) => `  ${step}`).join('\n')}`)
    })
}
