import { Option, type Command } from 'commander'
import { TYPE_TRAITS, typesThat, WINDOWS_NAMED } from '../../../core/settings/directory-type.ts'
import type { CliIo } from '../../terminal/io.ts'
import type { InitOptions } from '../../flows/init-questions.ts'

const windowsNamed = WINDOWS_NAMED.map((type) => TYPE_TRAITS[type].product).join(', ')

export function register(program: Command, io: CliIo): void {
  program
    .command('init')
    .description('write a configuration for one directory: asks at a terminal, or takes these options')
    .option('--url <url...>', 'LDAP servers, as in ldaps://ldap.example.org')
    .addOption(
      new Option('--type <type>', 'kind of directory (else what the server reports)').choices(
        typesThat((traits) => !traits.isLockConfigured),
      ),
    )
    .option('--ca <file>', 'PEM file of the certification authority')
    .addOption(new Option('--start-tls <how>', 'for ldap:// URLs').choices(['required', 'off']).default('required'))
    .option('--bind-dn <dn>', `account that Lockstep binds as; for ${windowsNamed} also user@domain or DOMAIN\\user`)
    .option(
      '--bind-password-file <file>',
      'file that holds its password, mode 0600 (else LOCKSTEP_BIND_PASSWORD, else asked)',
    )
    .option('--base <dn>', "entry that the accounts lie below (else the server's naming context)")
    .option('--user-filter <filter>', 'how an account is found by login (else as is usual for the type)')
    .option('--serial-attribute <name>', 'attribute that carries the serials (else as is usual for the type)')
    .option('--serial-format <format>', 'how a serial is written there', 'privacyIDEA:{serial}')
    .option('--name <name>', 'name of the directory in the configuration', 'main')
    .option('--realm <realm>', 'realm of privacyIDEA that belongs to it (else every realm)')
    .option('--http <listen>', 'switch the webhook on, as in 127.0.0.1:8640')
    .option(
      '--state-dir <dir>',
      'folder for the database, the LDIF folders and the spool (else those of the system; lockstep-state without root)',
    )
    .option('--no-probe', 'do not ask the server')
    .option('--force', 'replace files that are there already')
    .option('--yes', 'ask nothing')
    .option('--json', 'print the result as JSON')
    .action(async (options: InitOptions, command: Command) => {
      const { runInit } = await import('../../flows/init-questions.ts')
      await runInit(options, command, io)
    })
}
