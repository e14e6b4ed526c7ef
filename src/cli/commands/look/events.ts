import type { Command } from 'commander'
import { AppError } from '../../../core/error.ts'
import type { CliIo } from '../../terminal/io.ts'
import { exactMoment } from '../../terminal/moment.ts'
import { firstOf, printData, printTable, printText } from '../../terminal/output.ts'
import { limitOption, type Flags, type Given, type Texts } from '../../terminal/options.ts'
import { loadForWork, openStoreFor } from '../../process/settings.ts'

type Options = Given<'limit'> & Texts<'state'> & Flags<'json'>

const STATES = ['waiting', 'resolved', 'ended', 'refused']

export function register(program: Command, io: CliIo): void {
  program
    .command('events')
    .description('the newest events, and what became of each')
    .option('--limit <number>', 'at most so many', '50')
    .option('--state <state>', `only those that are ${STATES.join(', ')}`)
    .option('--json', 'print the result as JSON')
    .action(async (options: Options, command: Command) => {
      if (options.state !== undefined && !STATES.includes(options.state)) {
        throw new AppError('usage', `--state ${options.state}: expected one of ${STATES.join(', ')}`)
      }
      const limit = limitOption('--limit', options.limit)
      await using store = await openStoreFor(await loadForWork(command, io, true))
      const { items: events, isCut } = await firstOf(limit, (max) =>
        store.reports.events({ limit: max, ...(options.state === undefined ? {} : { state: options.state }) }),
      )
      if (options.json === true) printData(io, { events, isCut })
      else if (events.length === 0) printText(io, 'no events')
      else
        printTable(io, events, [
          { title: 'taken', value: (event) => exactMoment(event.takenMs), align: 'right' },
          { title: 'event', value: (event) => event.kind },
          { title: 'serial', value: (event) => event.serial ?? '-' },
          {
            title: 'user',
            value: (event) =>
              event.login === null ? '-' : `${event.login}${event.realm === null ? '' : `@${event.realm}`}`,
          },
          { title: 'by', value: (event) => event.actor || '-', movesBelow: true },
          { title: 'via', value: (event) => event.source, movesBelow: true },
          { title: 'state', value: (event) => event.state },
          { title: 'why', value: (event) => event.why || event.reason, movesBelow: true },
        ])
    })
}
