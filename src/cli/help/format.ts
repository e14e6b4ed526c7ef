import type { Argument, Command, Help } from 'commander'
import type { CliIo } from '../terminal/io.ts'
import type { HelpPage, HelpPages } from './page.ts'
import { SET_UP_PAGES } from './set-up-pages.ts'
import { WORK_PAGES } from './work-pages.ts'

/** The layout of help: the pages in addition to the parser's own facts about a command. */

export const HELP_PAGES: HelpPages = { ...SET_UP_PAGES, ...WORK_PAGES }

/** Where the terminal does not report its width, or there is no terminal. */
const WIDTH_DEFAULT = 80
/** Narrower text is harder to read than text that the terminal wraps. */
const WIDTH_MIN = 40
const INDENT = '  '

const ROOT_NOTE = 'How a command is used, with examples: lockstep help COMMAND'
const ROOT_EXITS =
  'Exit codes: 0 done, 64 wrong use, 65 wrong data, 67 no such user, 69 unavailable, 75 try again later, 77 not permitted, 78 wrong configuration'

/** Of every command below `program`, and of itself. Called once all are registered. */
export function formatHelp(program: Command, io: CliIo): void {
  program.addHelpText('after', () => ['', ROOT_NOTE, ...wrapped(ROOT_EXITS, '', helpWidth(io))].join('\n'))
  for (const child of program.commands) formatCommand(child, io, '')
}

function formatCommand(command: Command, io: CliIo, parent: string): void {
  const name = `${parent} ${command.name()}`.trim()
  const page = HELP_PAGES[name]
  if (page !== undefined) {
    command.summary(page.summary)
    const group = command.commands.length > 0 ? `How each is used: lockstep help ${name} COMMAND` : undefined
    command.addHelpText('after', (): string => {
      return defaultText(command, name, helpWidth(io)) + pageText({ note: group, ...page }, helpWidth(io))
    })
  }
  for (const child of command.commands) formatCommand(child, io, name)
}

/** For a group with a default command: the options of that command, which the group accepts too. */
function defaultText(group: Command, name: string, width: number): string {
  const meant = group.commands.find((each) => HELP_PAGES[`${name} ${each.name()}`]?.summary.endsWith('; the default'))
  if (meant === undefined) return ''
  const help = meant.createHelp()
  const options = meant.options.map((option) => [option.flags, help.optionDescription(option)] as const)
  const longest = Math.max(...options.map(([flags]) => flags.length))
  const lines = options.flatMap(([flags, what]) => wrapped(what, `${INDENT}${flags.padEnd(longest + 2)}`, width))
  return `\nOptions of ${meant.name()}, which is meant where no command is named:\n${lines.join('\n')}\n`
}

export function helpWidth({ stdout }: Pick<CliIo, 'stdout'>): number {
  const width = stdout.isTTY ? stdout.columns || WIDTH_DEFAULT : WIDTH_DEFAULT
  return Math.max(WIDTH_MIN, width)
}

/** A command line is wrapped only at its own breaks, so that it can be copied. */
function pageText({ note, examples, exits = {} }: HelpPage, width: number): string {
  const lines: string[] = []
  if (note !== undefined) lines.push('', ...wrapped(note, '', width))
  if (examples.length > 0) lines.push('', 'Examples:')
  for (const [what, line] of examples) lines.push(`${INDENT}# ${what}`, INDENT + line)
  const codes = Object.entries(exits)
  if (codes.length > 0) lines.push('', 'Exit codes:')
  for (const [code, what] of codes) lines.push(...wrapped(what, `${INDENT}${code.padEnd(4)}`, width))
  return lines.join('\n')
}

function wrapped(text: string, head: string, width: number): string[] {
  const lines: string[] = []
  let line = head
  for (const word of text.split(' ')) {
    const isFirst = line.trim() === '' || line === head
    if (!isFirst && line.length + 1 + word.length > width) {
      lines.push(line)
      line = ' '.repeat(head.length) + word
    } else line += isFirst ? word : ` ${word}`
  }
  return [...lines, line]
}

/** Settings of the parser's own help. */
export const HELP_FORMAT = {
  sortOptions: false,
  showGlobalOptions: true,
  minWidthToWrap: 16,
  /** The name and its arguments, without a mark for options. */
  subcommandTerm: (command: Command): string =>
    [command.name(), ...command.registeredArguments.map(argumentTerm)].join(' '),
  /** `--version` is no option of a command. */
  visibleGlobalOptions(command: Command) {
    const options: Command['options'][number][] = []
    for (let above = command.parent; above !== null; above = above.parent) {
      options.push(...above.options.filter(({ long }) => long !== '--version'))
    }
    return options
  },
} satisfies Partial<Help>

function argumentTerm(argument: Argument): string {
  const shown = argument.variadic ? `${argument.name()}...` : argument.name()
  return argument.required ? `<${shown}>` : `[${shown}]`
}
