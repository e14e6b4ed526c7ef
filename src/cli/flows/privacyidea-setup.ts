import { resolve } from 'node:path'
import type { Command } from 'commander'
import { secretReader } from '../../config/secret.ts'
import { AppError } from '../../core/error.ts'
import { needsReset, type Settings } from '../../core/settings/settings.ts'
import { hookUrlOf } from '../../operations/setup/hook-url.ts'
import { openSetup, type SetupRequest } from '../../operations/setup/privacyidea-setup.ts'
import { callsByHand } from '../../operations/setup/setup-by-hand.ts'
import { adminAccess, confirmChange } from '../process/admin-login.ts'
import type { AdminOptions } from '../process/admin-options.ts'
import type { CliIo } from '../terminal/io.ts'
import { note, print, printData } from '../terminal/output.ts'
import { openPrompt, type Prompt } from '../terminal/prompt.ts'
import { loadSettings } from '../process/settings.ts'
import { printDone, printPlan, setupJson } from './setup-output.ts'
import type { Flags, Given, Texts } from '../terminal/options.ts'

/** `lockstep privacyidea setup`: from flags and answers to a plan, a look at it, and the change. `reset` is false with --no-reset. */
export type SetupOptions = AdminOptions &
  Given<'via' | 'for'> &
  Flags<'dryRun' | 'yes' | 'policies' | 'reset' | 'enroll' | 'keepAdmins' | 'remove' | 'print' | 'json'> &
  Texts<'scriptsDir' | 'group' | 'hookUrl' | 'account' | 'setupAccount'>

const USUAL_ACCOUNT = 'lockstep'

export async function runSetup(options: SetupOptions, command: Command, io: CliIo): Promise<void> {
  const via = viaOf(options)
  const settings = await loadSettings(command, io)
  if (options.print === true) return printCalls(options, via, settings, io)
  using prompt = openPrompt(io)
  const request = await requestFrom(options, via, settings, prompt, io)
  await using setup = openSetup(request)
  const plan = await setup.plan()
  const isJson = options.json === true
  if (!isJson) printPlan(io, request, plan)
  const goesOn = options.dryRun !== true && (!plan.isInStep || request.shims !== null)
  if (goesOn && options.yes !== true) await confirmChange(prompt)
  const done = goesOn ? await setup.apply(plan) : { shims: null }
  if (isJson) printData(io, setupJson(request, plan, { isMade: goesOn, shims: done.shims }))
  else printDone(io, request, plan, { isMade: goesOn, shims: done.shims })
}

function viaOf(options: SetupOptions): 'script' | 'webhook' {
  const { via } = options
  if (via === 'script' || via === 'webhook') {
    if (options.scriptsDir !== undefined && (via === 'webhook' || options.remove === true)) {
      throw new AppError('usage', '--scripts-dir belongs to setting up by --via script')
    }
    return via
  }
  throw new AppError('usage', `--via ${via}: expected script or webhook`)
}

async function requestFrom(
  options: SetupOptions,
  via: 'script' | 'webhook',
  settings: Settings,
  prompt: Prompt | null,
  io: CliIo,
): Promise<SetupRequest> {
  const to = options.remove === true ? 'nothing' : via
  const hookUrl = to === 'webhook' ? hookUrlOf(settings.intake.http, options.hookUrl ?? null, secretReader(io.env)) : ''
  const { source, user, password } = await adminAccess(options, settings, prompt, io)
  const { scriptsDir, group = null } = options
  const { account, setUpAccount, rights } = accountsOf(options, settings)
  return {
    source,
    readSecret: () => password,
    user,
    to,
    hookUrl,
    shims: scriptsDir === undefined ? null : { dir: resolve(io.cwd, scriptsDir), spool: settings.intake.spool, group },
    policies:
      options.policies === true
        ? { runTimeAccount: account, setUpAccount, ...rights, keepsOthers: options.keepAdmins === true }
        : null,
    account,
    rights,
  }
}

interface Accounts {
  readonly account: string
  readonly setUpAccount: string | null
  readonly rights: SetupRequest['rights']
}

function accountsOf(options: SetupOptions, settings: Settings): Accounts {
  const login = settings.privacyidea?.login
  const account = options.account ?? (login?.kind === 'password' ? login.user : USUAL_ACCOUNT)
  for (const name of [account, options.setupAccount ?? '']) {
    // With these characters a name means several accounts in a policy.
    if (!/[*,\n]/.test(name) && !/^[-!]/.test(name)) continue
    throw new AppError('usage', `${name} is no name of one account`)
  }
  const { mirrorDirectoryLocks } = settings.policy
  if (options.reset === false && needsReset(settings.policy)) {
    throw new AppError('usage', '--no-reset: the configuration resets fail counters, which takes the right reset', {
      hint: 'Leave it out, or set policy.onForeignUnlock and policy.resetTokenOnTtl otherwise.',
    })
  }
  const rights = { resetsTokens: options.reset !== false, enrolls: options.enroll === true, mirrorDirectoryLocks }
  return { account, setUpAccount: options.setupAccount ?? null, rights }
}

function printCalls(options: SetupOptions, via: 'script' | 'webhook', settings: Settings, io: CliIo): void {
  const hookUrl =
    via === 'webhook' ? hookUrlOf(settings.intake.http, options.hookUrl ?? null, secretReader(io.env)) : ''
  const { account, setUpAccount, rights } = accountsOf(options, settings)
  const version = options.for
  if (!/^\d+\.\d+/.test(version)) throw new AppError('usage', `--for ${version}: expected a version such as 3.12`)
  const calls = callsByHand(via, hookUrl, { runTimeAccount: account, setUpAccount, version, ...rights })
  if (options.json === true) printData(io, { calls })
  else print(io, JSON.stringify(calls, null, 2))
  if (via === 'webhook') note(io, "… in option.URL is the webhook's secret: intake.http.hookSecretFile holds it.")
  note(io, 'The first admin policy of a server takes every right from all administrators that it does not name.')
}
