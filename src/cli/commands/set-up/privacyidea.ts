import type { Command } from 'commander'
import { withAdminOptions } from '../../process/admin-options.ts'
import type { CliIo } from '../../terminal/io.ts'
import type { SetupOptions } from '../../flows/privacyidea-setup.ts'

export function register(program: Command, io: CliIo): void {
  const group = program.command('privacyidea').description('set up privacyIDEA, so that its events reach Lockstep')
  const setup = group
    .command('setup')
    .description('create or update the event handlers of Lockstep in privacyIDEA, after showing what would change')
    .option('--via <way>', 'script (the shims, on its own machine) or webhook', 'script')
    .option('--dry-run', 'show what would change, and change nothing')
    .option('--yes', 'do not ask')
  withAdminOptions(setup)
    .option('--scripts-dir <dir>', "privacyIDEA's script directory: the shims are installed there first")
    .option('--group <group>', "privacyIDEA's group, for the shims")
    .option(
      '--hook-url <url>',
      'where privacyIDEA reaches the webhook, without path and secret (else intake.http.listen)',
    )
    .option('--policies', 'also create the admin policies of least privilege')
    .option('--no-reset', 'leave out the right to reset fail counters: lockstep unlock --reset-token then refuses')
    .option('--enroll', 'also the rights for lockstep enroll as that account (else name an administrator with --user)')
    .option('--account <name>', 'account of the running service (else privacyidea.user, else lockstep)')
    .option('--setup-account <name>', 'also a policy for an account that may set up and no more')
    .option('--keep-admins', 'where no admin policy is there yet: also one that keeps all rights for all others')
    .option('--remove', 'take exactly what this command made away (with --policies: the policies too)')
    .option('--print', 'print the calls for doing it by hand, and ask no server')
    .option('--for <version>', 'version of privacyIDEA that --print is for', '3.14')
    .option('--json', 'print the result as JSON')
    .action(async (options: SetupOptions, command: Command) => {
      const { runSetup } = await import('../../flows/privacyidea-setup.ts')
      await runSetup(options, command, io)
    })
}
