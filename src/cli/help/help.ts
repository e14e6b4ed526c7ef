import type { Command } from 'commander'
import { AppError } from '../../core/error.ts'
import { plain } from '../terminal/output.ts'
import { fullName, unknownCommand } from './slip.ts'

export function register(program: Command): void {
  program
    .command('help')
    .description('print how a command is used; without a name: all commands')
    .argument('[command...]', 'the name, and that of a subcommand')
    .action((words: readonly string[]) => printHelp(program, words))
}

/** `lockstep review help` too, which the list of a group's commands need not name. */
export function registerInGroups(program: Command): void {
  for (const group of program.commands) {
    if (group.commands.length === 0) continue
    group
      .command('help', { hidden: true })
      .description('print how a command of this group is used')
      .argument('[command...]', 'its name')
      .action((words: readonly string[]) => printHelp(group, words))
  }
}

/** Fails with `usage` where there is no such command. */
function printHelp(top: Command, words: readonly string[]): void {
  let command = top
  for (const word of words) {
    if (command !== top && command.commands.length === 0) {
      const first = `lockstep help ${fullName(command).split(' ').slice(1).join(' ')}`
      throw new AppError('usage', `${fullName(command)} has no command '${plain(word)}' below it`, {
        hint: `Help takes the name of one command: ${first}`,
      })
    }
    const next = command.commands.find((each) => each.name() === word)
    if (next === undefined) throw unknownCommand(command, word)
    command = next
  }
  command.outputHelp()
}
