import type { Command } from 'commander'
import type { CliIo } from '../../terminal/io.ts'
import { print, printData } from '../../terminal/output.ts'
import { VERSION } from '../../process/version.ts'

export function register(program: Command, io: CliIo): void {
  program
    .command('version')
    .description('versions of Lockstep and of what it runs on; lockstep --version prints that of Lockstep alone')
    .option('--json', 'print the result as JSON')
    .action(async (options: { json?: boolean }) => {
      const { versionsOf } = await import('../../../operations/status/versions.ts')
      const versions = versionsOf(VERSION)
      if (options.json === true) return printData(io, versions)
      const rows = [
        ['Lockstep', versions.lockstep],
        ['Node.js', versions.node],
        ['OpenSSL', versions.openssl],
        ['SQLite', versions.sqlite],
        ['V8', versions.v8],
        ['store schema', String(versions.storeSchema)],
        ['platform', versions.platform],
      ] as const
      print(io, rows.map(([name, value]) => `${name.padEnd(14)}${value}`).join('\n'))
    })
}
