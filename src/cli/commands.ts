import type { Command } from 'commander'
import * as accounts from './commands/accounts.ts'
import * as check from './commands/check.ts'
import * as directory from './commands/directory.ts'
import * as doctor from './commands/doctor.ts'
import * as drain from './commands/drain.ts'
import * as enroll from './commands/enroll.ts'
import * as events from './commands/events.ts'
import * as healthcheck from './commands/healthcheck.ts'
import * as help from './commands/help.ts'
import * as init from './commands/init.ts'
import * as journal from './commands/journal.ts'
import * as lock from './commands/lock.ts'
import * as mail from './commands/mail.ts'
import * as owners from './commands/owners.ts'
import * as pause from './commands/pause.ts'
import * as privacyidea from './commands/privacyidea.ts'
import * as rebuild from './commands/rebuild.ts'
import * as reload from './commands/reload.ts'
import * as retire from './commands/retire.ts'
import * as resync from './commands/resync.ts'
import * as recipes from './commands/recipes.ts'
import * as rehearse from './commands/rehearse.ts'
import * as review from './commands/review.ts'
import * as retry from './commands/retry.ts'
import * as serve from './commands/serve.ts'
import * as shims from './commands/shims.ts'
import * as show from './commands/show.ts'
import * as status from './commands/status.ts'
import * as undo from './commands/undo.ts'
import * as version from './commands/version.ts'
import type { CliIo } from './io.ts'

export interface CommandGroup {
  /** As the list of commands has it. */
  readonly title: string
  readonly commands: readonly ((program: Command, io: CliIo) => void)[]
}

/** The commands, in the order in which help lists them. */
export const COMMAND_GROUPS: readonly CommandGroup[] = [
  {
    title: 'Set up:',
    commands: [
      init.register,
      check.register,
      doctor.register,
      directory.register,
      shims.register,
      privacyidea.register,
      recipes.register,
      rehearse.register,
    ],
  },
  { title: 'Run:', commands: [serve.register, reload.register, drain.register, healthcheck.register] },
  {
    title: 'Look:',
    commands: [
      status.register,
      accounts.register,
      show.register,
      owners.register,
      events.register,
      journal.register,
      mail.register,
      version.register,
      help.register,
    ],
  },
  { title: 'Act:', commands: [lock.register, enroll.register, review.register, pause.register] },
  {
    title: 'Repair:',
    commands: [retry.register, resync.register, undo.register, rebuild.register, retire.register],
  },
]
