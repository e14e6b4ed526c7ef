import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { AppError } from '../core/error.ts'
import {
  passwordOf,
  refuseOverwrite,
  settingsOf,
  writeConfig,
  type InitRequest,
  type InitResult,
} from '../daemon/init.ts'
import { askServer, tryBind, type FirstFacts } from '../daemon/init-server.ts'
import type { CliIo } from './io.ts'
import { note, painter, print, printJson } from './output.ts'
import { openPrompt, type Prompt } from './prompt.ts'
import { configFlag } from './settings.ts'

/** What `lockstep init` asks, and what it makes of the answers and flags. */
export interface InitOptions {
  readonly url?: readonly string[]
  readonly ca?: string
  readonly startTls: 'required' | 'off'
  readonly bindDn?: string
  readonly bindPasswordFile?: string
  readonly base?: string
  readonly userFilter: string
  readonly serialAttribute: string
  readonly serialFormat: string
  readonly name: string
  readonly realm?: string
  readonly http?: string
  readonly stateDir?: string
  readonly probe: boolean
  readonly force?: boolean
  readonly yes?: boolean
  readonly json?: boolean
}

const PASSWORD_VARIABLE = 'LOCKSTEP_BIND_PASSWORD'
const LISTEN_USUAL = '127.0.0.1:8640'

export async function runInit(options: InitOptions, command: Command, io: CliIo): Promise<void> {
  using prompt = options.yes === true ? null : openPrompt(io)
  const file = resolve(io.cwd, configFlag(command) ?? (io.env['LOCKSTEP_CONFIG'] || 'lockstep.yaml'))
  refuseOverwrite({ file, force: options.force === true, bindPassword: { file: '' }, listen: null })
  const request = await requestFrom(options, file, prompt, io)
  if (options.probe) {
    note(io, `binding as ${request.bindDn} …`)
    await tryBind(settingsOf(request), passwordOf(request))
  }
  const result = await writeConfig(request)
  if (options.json === true) printJson(io, result)
  else printResult(io, result)
}

async function requestFrom(options: InitOptions, file: string, prompt: Prompt | null, io: CliIo): Promise<InitRequest> {
  const flags = flagsOf(options, file, io)
  const urls = options.url ?? (await needed(prompt, '--url', 'LDAP server', 'ldaps://localhost')).split(/[\s,]+/)
  const secure = { ca: flags.ca, startTls: options.startTls }
  if (prompt !== null && flags.ca === null && urls.some((url) => url.startsWith('ldaps:'))) {
    const answer = await prompt.ask('CA certificate (PEM file; - for those of the system)', '-')
    if (answer !== '-') secure.ca = resolve(io.cwd, answer)
  }
  const facts = options.probe ? await askServer({ urls, ...secure }) : null
  if (facts !== null) note(io, `found ${facts.vendor} at ${facts.url}`)
  const base = options.base ?? (await baseFrom(facts, prompt))
  const bindDn = options.bindDn ?? (await needed(prompt, '--bind-dn', 'Account that Lockstep binds as (DN)', null))
  const bindPassword = await passwordFrom(options, prompt, io)
  const listen = options.http ?? (prompt === null ? null : await listenFrom(prompt))
  const { userFilter, serialAttribute, serialFormat, name, startTls } = options
  return {
    file,
    name,
    urls,
    startTls,
    ca: secure.ca,
    bindDn,
    bindPassword,
    base,
    userFilter: prompt === null ? userFilter : await prompt.ask('How an account is found', userFilter),
    serialAttribute,
    serialFormat,
    realm: options.realm ?? null,
    listen,
    stateDir: flags.stateDir,
    force: options.force === true,
  }
}

/** The folders of the system are root's; anybody else gets one beside the file. */
function flagsOf(options: InitOptions, file: string, io: CliIo): { ca: string | null; stateDir: string | null } {
  const usual = process.getuid?.() === 0 ? null : join(dirname(file), 'lockstep-state')
  return {
    ca: options.ca === undefined ? null : resolve(io.cwd, options.ca),
    stateDir: options.stateDir === undefined ? usual : resolve(io.cwd, options.stateDir),
  }
}

async function needed(prompt: Prompt | null, flag: string, question: string, usual: string | null): Promise<string> {
  if (prompt !== null) return prompt.ask(question, usual)
  throw new AppError('usage', `${flag} is missing, and there is no terminal to ask at`, {
    hint: 'Give --url, --bind-dn, --bind-password-file and --base, or run it at a terminal.',
  })
}

/** The naming context, where there is one alone: a person may narrow it. */
async function baseFrom(facts: FirstFacts | null, prompt: Prompt | null): Promise<string> {
  const contexts = facts?.namingContexts ?? []
  const [only] = contexts
  if (prompt !== null) return prompt.ask('Base that the accounts lie below', only ?? null)
  if (only !== undefined && contexts.length === 1) return only
  const found =
    contexts.length === 0 ? 'the server names no naming context' : `the server has several: ${contexts.join(', ')}`
  throw new AppError('usage', `--base is missing, and ${found}`, {
    hint: 'Give --base, as in ou=people,dc=example,dc=org.',
  })
}

async function passwordFrom(
  options: InitOptions,
  prompt: Prompt | null,
  io: CliIo,
): Promise<InitRequest['bindPassword']> {
  if (options.bindPasswordFile !== undefined) return { file: resolve(io.cwd, options.bindPasswordFile) }
  const fromEnvironment = io.env[PASSWORD_VARIABLE]
  if (fromEnvironment !== undefined && fromEnvironment !== '') return { text: fromEnvironment }
  if (prompt !== null) return { text: await prompt.askSecret('Its password (not shown)') }
  throw new AppError('usage', 'the bind password is missing, and there is no terminal to ask at', {
    hint: `Give --bind-password-file, or set ${PASSWORD_VARIABLE}. It is never taken from the command line.`,
  })
}

async function listenFrom(prompt: Prompt): Promise<string | null> {
  const answer = await prompt.ask(`Webhook: an address as in ${LISTEN_USUAL}, or no`, 'no')
  return /^no?$/i.test(answer) ? null : answer
}

function printResult(io: CliIo, result: InitResult): void {
  const paint = painter(io)
  for (const each of result.written) print(io, `${paint('green', 'wrote')} ${each.path} (mode ${each.mode})`)
  print(io, '\nNext:')
  for (const step of result.nextSteps) print(io, `  ${step}`)
}
