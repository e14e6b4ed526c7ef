import type { Command } from 'commander'
import type { Texts } from '../terminal/options.ts'

/** The flags of commands that change privacyIDEA: the server and the account. */
export type AdminOptions = Texts<'user' | 'passwordFile' | 'adminRealm' | 'url' | 'ca'>

/** @param otherwise the account whose rights are used without the flag */
export function withAdminOptions(command: Command, otherwise = 'asked for'): Command {
  return command
    .option('--user <admin>', `administrator for this one time (else ${otherwise}); kept nowhere`)
    .option('--password-file <file>', 'file that holds the password (else LOCKSTEP_SETUP_PASSWORD, else asked for)')
    .option('--admin-realm <realm>', 'the realm of that administrator, where it is no local one')
    .option('--url <url>', 'privacyIDEA (else privacyidea.url of the configuration)')
    .option('--ca <file>', 'PEM file of the certification authorities to trust (else privacyidea.ca)')
}
