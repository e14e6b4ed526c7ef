import type { PolicyChange } from '../../privacyidea/setup/policies.ts'
import type { BindingChange } from '../../privacyidea/setup/bindings.ts'
import type { SetupPlan, SetupRequest } from '../../operations/setup/privacyidea-setup.ts'
import type { ShimsInstalled } from '../../operations/setup/shims-install.ts'
import type { CliIo } from '../terminal/io.ts'
import { painter, plain, print, type Style, printText } from '../terminal/output.ts'

/** The display of a set-up: a line for each handler and policy, and the differences below it. */

const MARK = { create: '+', update: '~', replace: '~', remove: '-', same: '=' } as const
const STYLE: Readonly<Record<keyof typeof MARK, Style>> = {
  create: 'green',
  update: 'yellow',
  replace: 'yellow',
  remove: 'red',
  same: 'dim',
}
const WHY = { doubled: 'a second one of this name', 'not-wanted': '' } as const

export interface SetupOutcome {
  readonly isMade: boolean
  readonly shims: ShimsInstalled | null
}

export function printPlan(io: CliIo, request: SetupRequest, plan: SetupPlan): void {
  const paint = painter(io)
  const line = (kind: keyof typeof MARK, text: string): void =>
    printText(io, paint(STYLE[kind], `  ${MARK[kind]} ${plain(text)}`))
  printText(io, paint('bold', `privacyIDEA ${plain(plan.version)} at ${plain(request.source.url)}`))
  printBindings(io, plan.bindings)
  if (plan.bindings.length === 0) printText(io, '  no event handler of Lockstep')
  for (const change of plan.policies) {
    line(change.kind, policyText(change))
    if (change.kind === 'update') printText(io, plain(`      was ${change.stands}`))
  }
  const { account } = request
  if (request.policies === null && request.to !== 'nothing') {
    printText(
      io,
      `\n${plain(account)} needs the admin rights ${plan.runTimeRights.join(', ')} (--policies gives them).`,
    )
  }
  for (const { id, name } of plan.doubled) {
    printText(
      io,
      plain(
        `\nThe event handler "${name}" (${id}) calls Lockstep too, so each event comes twice. It is not ours: delete it there.`,
      ),
    )
  }
  if (plan.missingScripts.length > 0 && request.shims === null) {
    printText(io, `\nprivacyIDEA does not find the scripts ${plan.missingScripts.join(', ')}: give --scripts-dir.`)
  }
}

/** A line for each handler, and the differences below it. */
export function printBindings(io: CliIo, changes: readonly BindingChange[]): void {
  const paint = painter(io)
  for (const change of changes) {
    printText(io, paint(STYLE[change.kind], `  ${MARK[change.kind]} ${plain(bindingText(change))}`))
    for (const { what, stands, wanted } of 'differences' in change ? change.differences : []) {
      printText(io, plain(`      ${what}: ${stands} → ${wanted}`))
    }
  }
}

/** The same as data, without secrets. */
export function bindingsJson(changes: readonly BindingChange[]): readonly object[] {
  return changes.map((change) => ({
    change: change.kind,
    name: change.kind === 'remove' ? change.standing.name : change.wanted.name,
    id: 'id' in change ? change.id : null,
    differences: 'differences' in change ? change.differences : [],
  }))
}

function bindingText(change: BindingChange): string {
  if (change.kind === 'remove') return `${change.standing.name} (${change.id}) ${WHY[change.why]}`.trimEnd()
  const { name, events, conditions, module, action } = change.wanted
  const when = Object.entries(conditions).map(([key, value]) => `, if ${key}=${value}`)
  return `${name}: ${events.join(', ')}${when.join('')} → ${module === 'WebHook' ? 'webhook' : action}`
}

function policyText(change: PolicyChange): string {
  if (change.kind === 'remove') return `policy ${change.name}`
  const { name, admins, actions } = change.wanted
  return `policy ${name}: ${admins.join(', ')} may ${actions.join(', ')}`
}

export function printDone(io: CliIo, request: SetupRequest, plan: SetupPlan, outcome: SetupOutcome): void {
  const count = changesOf(plan)
  if (!outcome.isMade) {
    printText(io, count === 0 && plan.isInStep ? '\nEverything is as it should be.' : '\nNothing was changed.')
    return
  }
  for (const { path, action } of outcome.shims?.scripts ?? []) printText(io, `  ${path} ${action}`)
  printText(io, count === 0 ? '\nEverything is as it should be.' : `\n${count} changed.`)
  // The binding is done; only remaining steps for folders are shown.
  for (const step of outcome.shims?.nextSteps.filter((each) => /ch(?:grp|own|mod) /.test(each)) ?? [])
    print(io, `  ${step}`)
  if (request.to === 'nothing') printText(io, '  The shims stay in the script directory; nothing calls them any more.')
}

function changesOf(plan: SetupPlan): number {
  return [...plan.bindings, ...plan.policies].filter((change) => change.kind !== 'same').length
}

/** Everything, without secrets. */
export function setupJson(request: SetupRequest, plan: SetupPlan, outcome: SetupOutcome): object {
  return {
    version: plan.version,
    url: request.source.url,
    made: outcome.isMade,
    changes: changesOf(plan),
    handlers: bindingsJson(plan.bindings),
    policies: plan.policies.map((change) => ({
      change: change.kind,
      ...(change.kind === 'remove' ? { name: change.name } : change.wanted),
    })),
    runTimeRights: plan.runTimeRights,
    alsoCalling: plan.doubled.map(({ id, name }) => ({ id, name })),
    missingScripts: plan.missingScripts,
    shims: outcome.shims,
  }
}
