import { Command, CommanderError } from 'commander'
import type { Trouble } from '../contract/verdict.ts'
import { AppError, toAppError } from '../core/error.ts'
import { COMMANDS } from './commands.ts'
import { EXIT, exitOf } from './exit.ts'
import type { CliIo } from './io.ts'
import { painter, printError } from './output.ts'
import { VERSION } from './version.ts'
import { whoMay } from './who-may.ts'

/**
 * Runs the command line and gives its exit code. `argv` is without the program's name. A command is a file of
 * `commands/`: `register(program, io)` describes it, cheaply; its action imports what it needs when it runs.
 */
export async function main(argv: readonly string[], io: CliIo): Promise<number> {
  // Some commands go on as the owner of the store.
  const startedAsRoot = process.getuid?.() === 0
  surviveClosedPipe(io)
  try {
    const program = buildProgram(io)
    await program.parseAsync(argv, { from: 'user' })
    return io.exitCode
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok
    const known = error instanceof CommanderError ? slipOf(error) : withWhoMay(toAppError(error), startedAsRoot, argv)
    // The command line's slips were told by the parser, with the command that they belong to.
    if (!(error instanceof CommanderError)) reportError(io, known, error)
    if (wantsJson(argv)) printError(io, troubleOf(known))
    return exitOf(known.code)
  }
}

/** This user may not: whose the file is, and how to come in, in place of what can be said of any file. */
function withWhoMay(error: AppError, startedAsRoot: boolean, argv: readonly string[]): AppError {
  if (error.code !== 'file-not-permitted') return error
  const hint = whoMay(error, startedAsRoot, argv)
  return hint === null ? error : new AppError(error.code, error.message, { hint, cause: error })
}

function slipOf(error: CommanderError): AppError {
  const message = error.message.replace(/^error: /, '').split('\n', 1)[0] ?? ''
  const isHelp = error.code === 'commander.help'
  return new AppError('usage', isHelp ? 'no command is given' : message, { hint: 'See lockstep --help.' })
}

/** By the words alone, since the slip may be in the command line itself. */
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
    .helpCommand('help [command]', 'print help for a command')
    .option(
      '--config <file>',
      'configuration file (else LOCKSTEP_CONFIG, ./lockstep.yaml, /etc/lockstep/lockstep.yaml)',
    )
    .configureHelp({ sortOptions: false, showGlobalOptions: true })
    .showHelpAfterError('Run it with --help for what it takes.')
    .showSuggestionAfterError(true)
  for (const register of COMMANDS) register(program, io)
  settle(program, io)
  return program
}

/** Subcommands made with `command()` copy these settings only when they are set first; this sets them on all. */
function settle(command: Command, io: CliIo): void {
  command.exitOverride()
  command.configureOutput({
    writeOut: (text) => void io.stdout.write(text),
    writeErr: (text) => void io.stderr.write(text),
    outputError: (text, write) => write(text.replace(/^error: /, 'lockstep: ')),
  })
  command.showHelpAfterError(`Run "${fullName(command)} --help" for what it takes.`)
  for (const child of command.commands) settle(child, io)
}

function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`
}

/** One message and the next step; the stack only with LOCKSTEP_DEBUG. */
export function reportError(io: CliIo, error: AppError, thrown: unknown): void {
  const paint = painter(io, io.stderr)
  const lines = [`${paint('red', 'lockstep:')} ${error.message}`]
  const hint = hintOf(error)
  if (hint !== '') lines.push(`  ${hint}`)
  if ((io.env['LOCKSTEP_DEBUG'] ?? '') !== '' && thrown instanceof Error) lines.push(thrown.stack ?? '')
  io.stderr.write(`${lines.join('\n')}\n`)
}

/** `lockstep … | head` closes the pipe early: that is no failure of ours. */
function surviveClosedPipe(io: CliIo): void {
  for (const stream of [io.stdout, io.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  }
}
