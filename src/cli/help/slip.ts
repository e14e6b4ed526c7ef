import type { Command, CommanderError } from 'commander'
import { nearest } from '../../config/keys/nearest.ts'
import { AppError } from '../../core/error.ts'
import { plain } from '../terminal/output.ts'
import { OTHER_PROGRAMS } from './other-programs.ts'

/** Mistakes in a command line, and what to type instead. */

/** The full name of a command: `lockstep review approve`. */
export function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`
}

/** A mistake that the parser found in the command line of this command. */
export function slipOf(error: CommanderError, command: Command): AppError {
  if (error.code === 'commander.help') {
    // The cause marks that help was printed.
    return new AppError('usage', 'no command is given', { cause: error, hint: `See ${fullName(command)} --help.` })
  }
  if (error.code === 'commander.unknownCommand') return unknownCommand(command, command.args[0] ?? '')
  const [message = '', suggestion = ''] = error.message.replace(/^error: /, '').split('\n', 2)
  const meant = meantOption(message, suggestion)
  const usage = `Run "${fullName(command)} --help" for what it takes.`
  return new AppError('usage', plain(message), { hint: meant === '' ? usage : `${meant}\n${usage}` })
}

/** The parser's own suggestion is often far from the text; '' where no option is near. */
function meantOption(message: string, suggestion: string): string {
  const written = /'--([^'=]+)/.exec(message)?.[1]
  if (written === undefined) return suggestion.replace(/^\(|\)$/g, '')
  const options = new Map((suggestion.match(/--[\w-]+/g) ?? []).map((option) => [option.replaceAll('-', ''), option]))
  const option = options.get(nearest(written, [...options.keys()]) ?? '')
  return option === undefined ? '' : `Did you mean ${option}?`
}

/** @param word the text in the place of a command's name */
export function unknownCommand(group: Command, word: string): AppError {
  const isRoot = group.parent === null
  const what = isRoot ? `unknown command '${plain(word)}'` : `unknown command '${plain(word)}' of ${fullName(group)}`
  return new AppError('usage', what, { hint: adviceFor(group, word, isRoot) })
}

function adviceFor(group: Command, word: string, isRoot: boolean): string {
  const names = group.commands.map((each) => each.name()).filter((name) => name !== 'help')
  const others = isRoot ? otherWord(word) : null
  if (others !== null) return others
  const meant = nearest(word, names)
  if (meant !== null) return `Did you mean this?\n  ${fullName(group)} ${meant}`
  if (isRoot) return 'All commands: lockstep --help'
  return `There are: ${names.join(', ')}. See ${fullName(group)} --help.`
}

/** The command lines for this text, one a line; null: none. */
function otherWord(word: string): string | null {
  const found = OTHER_PROGRAMS.find(({ words }) => words.includes(word.toLowerCase()))
  if (found === undefined) return null
  const width = Math.max(...found.run.map(([line]) => line.length))
  return ['Run:', ...found.run.map(([line, what]) => `  ${line.padEnd(width)}  ${what}`)].join('\n')
}
