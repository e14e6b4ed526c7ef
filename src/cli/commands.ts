import type { Command } from 'commander'
import * as accounts from './commands/look/accounts.ts'
import * as check from './commands/set-up/check.ts'
import * as directory from './commands/set-up/directory.ts'
import * as doctor from './commands/set-up/doctor.ts'
import * as drain from './commands/run/drain.ts'
import * as enroll from './commands/act/enroll.ts'
import * as events from './commands/look/events.ts'
import * as healthcheck from './commands/run/healthcheck.ts'
import * as help from './help/help.ts'
import * as init from './commands/set-up/init.ts'
import * as journal from './commands/look/journal.ts'
import * as lock from './commands/act/lock.ts'
import * as mail from './commands/look/mail.ts'
import * as owners from './commands/look/owners.ts'
import * as pause from './commands/act/pause.ts'
import * as privacyidea from './commands/set-up/privacyidea.ts'
import * as rebuild from './commands/repair/rebuild.ts'
import * as reload from './commands/run/reload.ts'
import * as retire from './commands/repair/retire.ts'
import * as resync from './commands/repair/resync.ts'
import * as recipes from './commands/set-up/recipes.ts'
import * as rehearse from './commands/set-up/rehearse.ts'
import * as review from './commands/act/review.ts'
import * as retry from './commands/repair/retry.ts'
import * as serve from './commands/run/serve.ts'
import * as shims from './commands/set-up/shims.ts'
import * as show from './commands/look/show.ts'
import * as status from './commands/look/status.ts'
import * as undo from './commands/repair/undo.ts'
import * as version from './commands/look/version.ts'
import type { CliIo } from './terminal/io.ts'

export interface CommandGroup {
  /** The title in the list of commands. */
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
