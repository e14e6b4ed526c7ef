import { AppError } from '../../core/error.ts'
import type { SourceSettings } from '../../core/settings/settings.ts'
import { systemClock } from '../../ports/clock.ts'
import type { SecretReader } from '../../ports/secret.ts'
import { makePolicyChange, readAdminPolicies } from '../../privacyidea/setup/admin-policies.ts'
import {
  alsoOurs,
  contentTypeOf,
  diffBindings,
  SHIM_NAMES,
  wantedBindings,
  type Binding,
  type BindingChange,
  type ExistingBinding,
} from '../../privacyidea/setup/bindings.ts'
import { Client } from '../../privacyidea/http/client.ts'
import {
  makeChange,
  offeredContentTypes,
  offeredScripts,
  readHandlers,
} from '../../privacyidea/setup/event-handlers.ts'
import {
  diffPolicies,
  othersPolicy,
  policyRemovals,
  runTimeRights,
  wantedPolicies,
  wouldLockOthersOut,
  type PolicyChange,
  type PolicyRequest,
} from '../../privacyidea/setup/policies.ts'
import { installShims, type ShimsInstalled, type ShimsRequest } from './shims-install.ts'

/** `lockstep privacyidea setup`: finds and makes the changes in privacyIDEA that bring events. */

export interface SetupRequest {
  readonly source: SourceSettings
  /** Returns the secret of the set-up account, which is stored nowhere. */
  readonly readSecret: SecretReader
  /** The set-up account; its own rights must not be cut. */
  readonly user: string
  readonly to: 'script' | 'webhook' | 'nothing'
  /** Webhook: everything before `/<kind>`, including the secret. */
  readonly hookUrl: string
  /** The shims are installed there first; null: they exist already. */
  readonly shims: ShimsRequest | null
  readonly policies: (Omit<PolicyRequest, 'version'> & { readonly keepsOthers: boolean }) | null
  /** The account of the running service and its tasks, for the text about rights where no policy is written. */
  readonly account: string
  readonly rights: Pick<PolicyRequest, 'resetsTokens' | 'enrolls' | 'mirrorDirectoryLocks'>
}

export interface SetupPlan {
  readonly version: string
  readonly bindings: readonly BindingChange[]
  readonly policies: readonly PolicyChange[]
  /** What the account of the running service needs on this version. */
  readonly runTimeRights: readonly string[]
  /** Handlers of others that also call Lockstep. */
  readonly doubled: readonly ExistingBinding[]
  /** Shims that privacyIDEA does not find, so they cannot be bound yet. */
  readonly missingScripts: readonly string[]
  readonly isInStep: boolean
}

export interface Setup extends AsyncDisposable {
  /** Reads, and changes nothing. Fails with `usage` where the change would lock administrators out. */
  plan(): Promise<SetupPlan>
  /** Makes the changes in a safe order, and reads again to check them. */
  apply(plan: SetupPlan): Promise<{ readonly shims: ShimsInstalled | null }>
}

export function openSetup(request: SetupRequest): Setup {
  const client = new Client(request.source, request.readSecret, systemClock)
  return {
    plan: () => planSetup(client, request),
    apply: (plan) => applySetup(client, request, plan),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}

async function planSetup(client: Client, request: SetupRequest): Promise<SetupPlan> {
  const existing = await readHandlers(client)
  const { text: version } = await client.version()
  const bindings = diffBindings(existing, await wantedOf(client, request))
  const policies = await planPolicies(client, request, version)
  const missing = request.to === 'script' ? await missingScripts(client) : []
  const isStill = [...bindings, ...policies].every((change) => change.kind === 'same')
  return {
    version,
    bindings,
    policies,
    runTimeRights: runTimeRights({ ...request.rights, version }),
    doubled: request.to === 'nothing' ? [] : alsoOurs(existing),
    missingScripts: missing,
    isInStep: isStill && missing.length === 0,
  }
}

async function wantedOf(client: Client, { to, hookUrl }: SetupRequest): Promise<readonly Binding[]> {
  if (to === 'nothing') return []
  if (to === 'script') return wantedBindings({ via: 'script' })
  const contentType = contentTypeOf(await offeredContentTypes(client))
  if (contentType !== null) return wantedBindings({ via: 'webhook', hookUrl, contentType })
  throw new AppError('source-answer', 'this privacyIDEA offers no url-encoded body for webhooks', {
    hint: 'Use the shims (--via script), or look at the module WebHook under Config, Events.',
  })
}

async function missingScripts(client: Client): Promise<readonly string[]> {
  const offered = new Set(await offeredScripts(client))
  return SHIM_NAMES.filter((name) => !offered.has(name))
}

async function planPolicies(client: Client, request: SetupRequest, version: string): Promise<readonly PolicyChange[]> {
  if (request.policies === null) return []
  const existing = await readAdminPolicies(client)
  if (request.to === 'nothing') return policyRemovals(existing)
  const asked: PolicyRequest = { ...request.policies, version }
  const wanted = wantedPolicies(asked)
  const others = othersPolicy(asked)
  if (existing.some((policy) => policy.name === others.name)) return diffPolicies(existing, [...wanted, others])
  if (!wouldLockOthersOut(existing)) return diffPolicies(existing, wanted)
  if (!request.policies.keepsOthers) {
    const hint = `Without any policy every administrator may do everything; with ours alone, nobody but ${asked.runTimeAccount} could do anything. Make a policy for the administrators first, or give --keep-admins, which makes ${others.name}: everything, for all but Lockstep's own accounts.`
    throw new AppError(
      'usage',
      'no admin policy is active there, and the first one takes every right from all others',
      { hint },
    )
  }
  if (asked.runTimeAccount === request.user || asked.setUpAccount === request.user) {
    const hint = 'Give Lockstep accounts of its own, made by: pi-manage admin add lockstep.'
    throw new AppError(
      'usage',
      `${request.user} makes this set-up, and would be left with the rights of an account of Lockstep`,
      { hint },
    )
  }
  return diffPolicies(existing, [...wanted, others])
}

/** Policies come last: removing one may remove the right to read. */
async function applySetup(
  client: Client,
  request: SetupRequest,
  plan: SetupPlan,
): Promise<{ readonly shims: ShimsInstalled | null }> {
  await refuseMissingRights(client, request, plan)
  const shims = request.shims === null ? null : await installShims(request.shims)
  if (request.to === 'script') await refuseMissing(client, request)
  for (const change of plan.bindings) await makeChange(client, change)
  refuseOpen(diffBindings(await readHandlers(client), await wantedOf(client, request)))
  for (const change of plan.policies) await makePolicyChange(client, change)
  if (request.to !== 'nothing') refuseOpen(await planPolicies(client, request, plan.version))
  return { shims }
}

/** Half of a set-up would be worse than none: nothing is changed where a right is missing. */
async function refuseMissingRights(client: Client, { user }: SetupRequest, plan: SetupPlan): Promise<void> {
  const { rights } = await client.login()
  if (rights === null || rights.has('*')) return
  const isOpen = (changes: readonly (BindingChange | PolicyChange)[]): boolean =>
    changes.some(({ kind }) => kind !== 'same')
  const needed = [
    ...(isOpen(plan.bindings) ? ['eventhandling_write'] : []),
    ...(plan.policies.some(({ kind }) => kind === 'create' || kind === 'update') ? ['policywrite'] : []),
    ...(plan.policies.some(({ kind }) => kind === 'remove') ? ['policydelete'] : []),
  ]
  const missing = needed.filter((right) => !rights.has(right))
  if (missing.length === 0) return
  throw new AppError('source-not-permitted', `${user} has no right ${missing.join(', ')}: nothing was changed`, {
    hint: `Name an administrator who has it with --user, or give it: scope: admin, admin: ${user}, action: ${missing.join(', ')}`,
  })
}

function refuseOpen(changes: readonly (BindingChange | PolicyChange)[]): void {
  const open = changes.filter((change) => change.kind !== 'same')
  if (open.length === 0) return
  throw new AppError(
    'source-answer',
    `privacyIDEA took the change, and then showed something else for ${open.map(nameOf).join(', ')}`,
    {
      hint: 'Somebody else may be changing them: run it again. --dry-run shows what differs.',
    },
  )
}

function nameOf(change: BindingChange | PolicyChange): string {
  if (change.kind !== 'remove') return change.wanted.name
  return 'standing' in change ? change.standing.name : change.name
}

/** A handler whose script is missing is refused by 3.14, and does nothing before. */
async function refuseMissing(client: Client, request: SetupRequest): Promise<void> {
  const missing = await missingScripts(client)
  if (missing.length === 0) return
  const dir = request.shims?.dir
  throw new AppError('usage', `privacyIDEA does not find the scripts ${missing.join(', ')}`, {
    hint:
      dir === undefined
        ? "Give --scripts-dir on privacyIDEA's machine, or run `lockstep shims install DIR` there first."
        : `${dir} is not the script directory of this privacyIDEA: see PI_SCRIPT_HANDLER_DIRECTORY in its pi.cfg. Does it run on this machine?`,
  })
}
