import type { Command } from 'commander'
import * as accounts from './commands/accounts.ts'
import * as check from './commands/check.ts'
import * as directory from './commands/directory.ts'
import * as doctor from './commands/doctor.ts'
import * as drain from './commands/drain.ts'
import * as enroll from './commands/enroll.ts'
import * as events from './commands/events.ts'
import * as healthcheck from './commands/healthcheck.ts'
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
import type { CliIo } from './io.ts'

/** The commands, in the order in which help lists them: set up, run, see, act, repair. */
export const COMMANDS: readonly ((program: Command, io: CliIo) => void)[] = [
  init.register,
  check.register,
  doctor.register,
  directory.register,
  shims.register,
  privacyidea.register,
  recipes.register,
  enroll.register,
  rehearse.register,
  serve.register,
  reload.register,
  drain.register,
  healthcheck.register,
  status.register,
  accounts.register,
  owners.register,
  show.register,
  events.register,
  journal.register,
  mail.register,
  lock.register,
  review.register,
  pause.register,
  retry.register,
  resync.register,
  undo.register,
  rebuild.register,
  retire.register,
]
