import { Command, CommanderError } from 'commander'
import type { Trouble } from '../contract/verdict.ts'
import { AppError, toAppError } from '../core/error.ts'
import { COMMAND_GROUPS } from './commands.ts'
import { registerInGroups } from './help/help.ts'
import { EXIT, exitOf } from './terminal/exit.ts'
import { formatHelp, HELP_FORMAT, helpWidth } from './help/format.ts'
import { slipOf, unknownCommand } from './help/slip.ts'
import type { CliIo } from './terminal/io.ts'
import { showTimesFor } from './terminal/moment.ts'
import { note, painter, printError } from './terminal/output.ts'
import { VERSION } from './process/version.ts'
import { whoMay } from './process/who-may.ts'

/**
 * Runs the command line and returns its exit code. `argv` is without the program's name. A command is a file of
 * `commands/`: `register(program, io)` describes it without large imports; its action imports what it needs when it
 * runs.
 */
export async function main(argv: readonly string[], io: CliIo): Promise<number> {
  const isOutputLost = watchOutput(io)
  const code = await run(argv, io)
  // The last write may still fail.
  await new Promise((resolve) => setImmediate(resolve))
  return isOutputLost() && code === EXIT.ok ? EXIT.ioError : code
}

async function run(argv: readonly string[], io: CliIo): Promise<number> {
  // Some commands go on as the owner of the store.
  const startedAsRoot = process.getuid?.() === 0
  try {
    const program = buildProgram(io)
    await program.parseAsync(argv, { from: 'user' })
    return io.exitCode
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok
    const known = withWhoMay(toAppError(error), startedAsRoot, argv)
    // Where a command is missing, help was printed instead.
    if (!(error instanceof AppError) || !(error.cause instanceof CommanderError)) reportError(io, known, error)
    if (wantsJson(argv)) printError(io, troubleOf(known))
    return exitOf(known.code)
  }
}

/** For an error of missing rights: the owner of the file and how to get access, in place of the general text. */
function withWhoMay(error: AppError, startedAsRoot: boolean, argv: readonly string[]): AppError {
  if (error.code !== 'file-not-permitted') return error
  const hint = whoMay(error, startedAsRoot, argv)
  return hint === null ? error : new AppError(error.code, error.message, { hint, cause: error })
}

/** By the arguments alone, since the mistake may be in the command line itself. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end === -1 ? undefined : end).includes('--json')
}

function troubleOf(error: AppError): Trouble {
  return { code: error.code, message: error.message, hint: hintOf(error) }
}

function hintOf(error: AppError): string {
  return error.code === 'internal' ? 'This is a fault of Lockstep itself; LOCKSTEP_DEBUG=1 shows where.' : error.hint
}

export function buildProgram(io: CliIo): Command {
  const program = new Command('lockstep')
    .description('Keeps directory accounts in step with privacyIDEA tokens.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    // `help` is a command like the others: the parser's own accepts any argument.
    .helpCommand(false)
    .option(
      '--config <file>',
      'configuration file (else LOCKSTEP_CONFIG, ./lockstep.yaml, /etc/lockstep/lockstep.yaml)',
    )
    .option('--utc', 'times in UTC and in full (RFC 3339), on a terminal as well')
    .hook('preAction', (_, command) => showTimesFor(io, command.optsWithGlobals()))
    .configureHelp(HELP_FORMAT)
    .showSuggestionAfterError(true)
  for (const { title, commands } of COMMAND_GROUPS) {
    program.commandsGroup(title)
    for (const register of commands) register(program, io)
  }
  registerInGroups(program)
  applyToAll(program, io)
  formatHelp(program, io)
  return program
}

/** Subcommands made with `command()` copy these settings only when they are set first; this sets them on all. */
function applyToAll(command: Command, io: CliIo): void {
  command.exitOverride((error) => {
    throw error.exitCode === 0 ? error : slipOf(error, command)
  })
  command.configureOutput({
    writeOut: (text) => void io.stdout.write(text),
    writeErr: (text) => void io.stderr.write(text),
    getOutHelpWidth: () => helpWidth(io),
    getErrHelpWidth: () => helpWidth(io),
    // Reported once, in main, with the next step.
    outputError: () => undefined,
  })
  refuseOtherWords(command)
  for (const child of command.commands) applyToAll(child, io)
}

/** A group with a default takes any unknown command for an argument of the default. */
function refuseOtherWords(group: Command): void {
  group.hook('preSubcommand', (_group, called) => {
    const [word = ''] = group.args
    if (word !== '' && !word.startsWith('-') && word !== called.name()) throw unknownCommand(group, word)
  })
}

/** One message and the next step; the stack only with LOCKSTEP_DEBUG. */
export function reportError(io: CliIo, error: AppError, thrown: unknown): void {
  const paint = painter(io, io.stderr)
  const lines = [error.message]
  const hint = hintOf(error)
  if (hint !== '') lines.push(...hint.split('\n').map((line) => `  ${line}`))
  if ((io.env['LOCKSTEP_DEBUG'] ?? '') !== '' && thrown instanceof Error) lines.push(thrown.stack ?? '')
  note(io, lines.join('\n'), `${paint('red', 'lockstep:')} `)
}

/**
 * `lockstep … | head` closes the pipe early: that is no failure. Any other failure (a full disk, a terminal that is
 * gone) is reported once. @returns true where a part of the output did not arrive
 */
function watchOutput(io: CliIo): () => boolean {
  let failed = false
  for (const stream of [io.stdout, io.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') return
      if (!failed && stream === io.stdout) note(io, `lockstep: the output cannot be written: ${error.message}`)
      failed = true
    })
  }
  return () => failed
}
