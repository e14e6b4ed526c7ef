import type { Command } from 'commander'
import { withAdminOptions } from '../../process/admin-options.ts'
import type { CliIo } from '../../terminal/io.ts'
import type { RetireOptions } from '../../flows/retire.ts'

export function register(program: Command, io: CliIo): void {
  const retire = program
    .command('retire')
    .description(
      'show, and with --yes release, every lock and serial of ours in a directory, and prove by a search that none is left; exit code 75 while some are. Without a directory: everything of Lockstep, to uninstall it',
    )
    .argument('[directory]', 'its name in the configuration; left out: all, and the event handlers, policies and shims')
    .option('--yes', 'do it')
    .option('--cancel', 'withdraw the order for that directory: the state of the tokens counts there again')
    .option('--reason <text>', 'why, for the record')
  withAdminOptions(retire)
    .option('--scripts-dir <dir>', "privacyIDEA's script directory, where the shims are removed")
    .option('--json', 'print the result as JSON')
    .action(async (directory: string | undefined, options: RetireOptions, command: Command) => {
      const { runRetire } = await import('../../flows/retire.ts')
      await runRetire(directory ?? null, options, command, io)
    })
}
