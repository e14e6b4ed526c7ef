import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { isWindowsName } from '../../core/settings/bind-name.ts'
import {
  TYPE_DEFAULTS,
  TYPE_TRAITS,
  USUAL_TYPE,
  WINDOWS_NAMED,
  type DirectoryType,
} from '../../core/settings/directory-type.ts'
import { AppError } from '../../core/error.ts'
import { passwordOf, refuseOverwrite, settingsOf, writeConfig, type InitResult } from '../../operations/setup/init.ts'
import type { InitRequest } from '../../operations/setup/init-template.ts'
import { answerProblems, refuseBadAnswers } from '../../operations/setup/init-check.ts'
import { askServer, tryBind, type FirstFacts } from '../../operations/setup/init-server.ts'
import type { CliIo } from '../terminal/io.ts'
import { note, painter, print, printData } from '../terminal/output.ts'
import { openPrompt, type Prompt } from '../terminal/prompt.ts'
import { configFlag } from '../process/settings.ts'
import type { Flags, Given, Texts } from '../terminal/options.ts'

/** The questions of `lockstep init`, and the request made of the answers and flags. */
export type InitOptions = Given<'serialFormat' | 'name'> &
  Flags<'force' | 'yes' | 'json'> &
  Texts<
    'ca' | 'bindDn' | 'bindPasswordFile' | 'base' | 'userFilter' | 'serialAttribute' | 'realm' | 'http' | 'stateDir'
  > & {
    readonly url?: readonly string[]
    readonly type?: DirectoryType
    readonly startTls: 'required' | 'off'
    readonly probe: boolean
  }

const PASSWORD_VARIABLE = 'LOCKSTEP_BIND_PASSWORD'
const LISTEN_USUAL = '127.0.0.1:8640'

export async function runInit(options: InitOptions, command: Command, io: CliIo): Promise<void> {
  using prompt = options.yes === true ? null : openPrompt(io)
  const file = resolve(io.cwd, configFlag(command) ?? (io.env['LOCKSTEP_CONFIG'] || 'lockstep.yaml'))
  refuseOverwrite({ file, force: options.force === true, bindPassword: { file: '' }, listen: null })
  if (prompt === null) refuseMissing(options, io)
  const given = draftFrom(options, file, io)
  refuseBadAnswers(given)
  const request = await requestFrom(options, given, prompt, io)
  refuseBadAnswers(request)
  if (options.probe) {
    note(io, `binding as ${request.bindDn} …`)
    await tryBind(settingsOf(request), passwordOf(request))
  }
  const result = await writeConfig(request)
  if (options.json === true) printData(io, result)
  else printResult(io, result)
}

/** Problems that this machine can find are reported before a server is asked. Fails with `usage`. */
function refuseMissing(options: InitOptions, io: CliIo): void {
  const missing = [
    ...(options.url === undefined ? ['--url'] : []),
    ...(options.bindDn === undefined ? ['--bind-dn'] : []),
    ...(options.base === undefined && !options.probe ? ['--base'] : []),
  ]
  const hasPassword = options.bindPasswordFile !== undefined || (io.env[PASSWORD_VARIABLE] ?? '') !== ''
  const whyUnasked = options.yes === true ? '--yes asks nothing' : 'there is no terminal to ask at'
  if (missing.length > 0) {
    const what = `${listed(missing)} ${missing.length === 1 ? 'is' : 'are'} missing`
    const toGive = hasPassword ? missing : [...missing, '--bind-password-file']
    const orAsked = options.yes === true ? 'leave --yes out at a terminal' : 'run it at a terminal'
    throw new AppError('usage', `${what}, and ${whyUnasked}`, { hint: `Give ${listed(toGive)}, or ${orAsked}.` })
  }
  if (hasPassword) return
  throw new AppError('usage', `the bind password is missing, and ${whyUnasked}`, {
    hint: `Give --bind-password-file, or set ${PASSWORD_VARIABLE}. It is never taken from the command line.`,
  })
}

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}

/** The answers that were given as options; the others have harmless values for now. */
function draftFrom(options: InitOptions, file: string, io: CliIo): InitRequest {
  const { serialFormat, name, startTls } = options
  const type = options.type ?? (isWindowsName(options.bindDn ?? '') ? WINDOWS_NAMED[0] : null) ?? USUAL_TYPE
  const fromEnvironment = io.env[PASSWORD_VARIABLE] || 'to be asked'
  return {
    ...flagsOf(options, file, io),
    file,
    name,
    type,
    urls: options.url ?? ['ldaps://localhost'],
    startTls,
    bindDn: options.bindDn ?? 'cn=lockstep',
    bindPassword:
      options.bindPasswordFile === undefined
        ? { text: fromEnvironment }
        : { file: resolve(io.cwd, options.bindPasswordFile) },
    base: options.base ?? 'dc=example',
    ...usualFor(type, options),
    serialFormat,
    realm: options.realm ?? null,
    listen: options.http ?? null,
    force: options.force === true,
  }
}

/** Values that were not given follow from the type. */
function usualFor(type: DirectoryType, options: InitOptions): Pick<InitRequest, 'userFilter' | 'serialAttribute'> {
  const usual = TYPE_DEFAULTS[type]
  return {
    userFilter: options.userFilter ?? usual.userFilter,
    serialAttribute: options.serialAttribute ?? usual.serialAttribute,
  }
}

/** Prompts for missing answers; an invalid answer is asked for again. */
async function requestFrom(
  options: InitOptions,
  given: InitRequest,
  prompt: Prompt | null,
  io: CliIo,
): Promise<InitRequest> {
  let request = given
  const ask = async (question: string, usual: string | null, put: (answer: string) => Partial<InitRequest>) => {
    if (prompt === null) return
    const problem = (answer: string): string | null =>
      answerProblems({ ...request, ...put(answer) })[0]?.message ?? null
    request = { ...request, ...put(await prompt.ask(question, usual, problem)) }
  }
  if (options.url === undefined) {
    await ask('LDAP server', 'ldaps://localhost', (answer) => ({ urls: answer.split(/[\s,]+/) }))
  }
  if (options.ca === undefined && request.urls.some((url) => url.startsWith('ldaps:'))) {
    await ask('CA certificate (PEM file; - for those of the system)', '-', (answer) => ({
      ca: answer === '-' ? null : resolve(io.cwd, answer),
    }))
  }
  const facts = options.probe ? await askServer(request, options.type ?? null) : null
  if (facts !== null) {
    request = { ...request, type: facts.type, ...usualFor(facts.type, options) }
    note(io, `found ${facts.vendor} at ${facts.url} (type ${facts.type})`)
  }
  if (options.base === undefined) {
    if (prompt === null) request = { ...request, base: onlyContext(facts) }
    const usual = facts?.usualBase ?? null
    await ask('Base that the accounts lie below', usual, (answer) => ({ base: answer }))
  }
  if (options.bindDn === undefined) {
    const names = TYPE_TRAITS[request.type].takesWindowsNames ? 'DN, user@domain or DOMAIN\\user' : 'DN'
    await ask(`Account that Lockstep binds as (${names})`, null, (answer) => ({ bindDn: answer }))
  }
  if (prompt !== null && options.bindPasswordFile === undefined && (io.env[PASSWORD_VARIABLE] ?? '') === '') {
    request = { ...request, bindPassword: { text: await prompt.askSecret('Its password (not shown)') } }
  }
  if (options.http === undefined) {
    await ask(`Webhook: an address as in ${LISTEN_USUAL}, or no`, 'no', (answer) => ({
      listen: /^no?$/i.test(answer) ? null : answer,
    }))
  }
  await ask('How an account is found', request.userFilter, (answer) => ({ userFilter: answer }))
  return request
}

/** The folders of the system are root's; other users get one beside the file. */
function flagsOf(options: InitOptions, file: string, io: CliIo): { ca: string | null; stateDir: string | null } {
  const usual = process.getuid?.() === 0 ? null : join(dirname(file), 'lockstep-state')
  return {
    ca: options.ca === undefined ? null : resolve(io.cwd, options.ca),
    stateDir: options.stateDir === undefined ? usual : resolve(io.cwd, options.stateDir),
  }
}

/** The naming context, where there is only one. Fails with `usage`. */
function onlyContext(facts: FirstFacts | null): string {
  const contexts = facts?.namingContexts ?? []
  if (facts?.isBaseCertain === true && facts.usualBase) return facts.usualBase
  const found =
    contexts.length === 0 ? 'the server names no naming context' : `the server has several: ${contexts.join(', ')}`
  throw new AppError('usage', `--base is missing, and ${found}`, {
    hint: 'Give --base, as in ou=people,dc=example,dc=org.',
  })
}

function printResult(io: CliIo, result: InitResult): void {
  const paint = painter(io)
  for (const each of result.written) print(io, `${paint('green', 'wrote')} ${each.path} (mode ${each.mode})`)
  print(io, '\nNext:')
  for (const step of result.nextSteps) print(io, `  ${step}`)
}
