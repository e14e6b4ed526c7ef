import type { Command } from 'commander'
import { withAdminOptions } from '../../process/admin-options.ts'
import type { EnrollOptions } from '../../flows/enroll.ts'
import type { CliIo } from '../../terminal/io.ts'

export function register(program: Command, io: CliIo): void {
  withAdminOptions(
    program
      .command('enroll')
      .argument('[login]', 'a user of privacyIDEA: the login, or login@realm')
      .description('make a new token for a user, or for many in a roll-out, and mail the QR code to its owner')
      .option('--realm <realm>', "the user's realm (else the only one of the configuration)")
      .option('--type <type>', 'totp or hotp', 'totp')
      .option('--mail', 'send the QR code to the owner; without it, it is shown here')
      .option('--csv <file>', 'for all users of a file: columns login, and perhaps realm, type')
      .option('--group <dn>', 'for all who are in a group of the directory')
      .option('--directory <name>', 'the directory of that group (else the only one)')
      .option(
        '--rollout <name>',
        'the name of the roll-out; the same name goes on (else made of the file or the group)',
      )
      .option('--even-with-token', 'also for users who have a token that works')
      .option('--rate <rate>', 'new tokens at most, as in 4/s, 120/m, 1000/h', '4/s')
      .option('--dry-run', 'show for whom, and make nothing')
      .option('--json', 'print the result as JSON'),
    'the one of the configuration',
  ).action(async (login: string | undefined, options: EnrollOptions, command: Command) => {
    const { runEnroll } = await import('../../flows/enroll.ts')
    await runEnroll(login, options, command, io)
  })
}
