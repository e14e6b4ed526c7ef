import type { ManualAction, ManualActionResult } from '../../operations/accounts/manual-action.ts'
import type { AccountReport } from '../../store/reports/reports.ts'
import { exactMoment, moment } from '../terminal/moment.ts'
import { plain } from '../terminal/output.ts'

/** The findings and changes of `lock` and `unlock`: as lines, and as data. */

type Hold = AccountReport['holds'][number]
type Before = ManualActionResult['before']

const NOTHING: NonNullable<Before> = { lockedByUs: false, holds: [], otherLock: null }

export function isUnheld(before: Before): boolean {
  const { lockedByUs, holds } = before ?? NOTHING
  return !lockedByUs && holds.length === 0
}

export function lockData(result: ManualActionResult): object {
  return { found: foundIn(result), changed: isHeldLonger(result) }
}

function foundIn({ before }: ManualActionResult): NonNullable<Before> {
  const { lockedByUs, holds, otherLock } = before ?? NOTHING
  return { lockedByUs, holds, otherLock }
}

/** When the last hold ends, in milliseconds since 1970; Infinity: not by itself. */
function endOf(holds: readonly Hold[]): number {
  return holds.reduce((end, { untilMs }) => Math.max(end, untilMs ?? Infinity), 0)
}

function isHeldLonger({ before, account }: ManualActionResult): boolean {
  const holds = before?.holds ?? []
  return holds.length === 0 || endOf(account.holds) > endOf(holds)
}

/** For an account that was locked before: each hold beside the new one, and what has changed. */
export function lockLines(result: ManualActionResult): string[] {
  const { before, account } = result
  const earlier = (before?.holds ?? []).toSorted((a, b) => a.sinceMs - b.sinceMs)
  const present = earlier.filter(({ name }) => account.holds.some((hold) => hold.name === name))
  const added = account.holds.find(({ kind, name }) => kind === 'manual' && !earlier.some((each) => each.name === name))
  if (present.length === 0 || added === undefined) return []
  const already = present.map((hold) => `held already by ${holdText(hold)}`)
  return [...already, `this one holds ${untilText(endOf([added]))}`, changeText(result)]
}

/** Two ends within a minute are distinguished by their seconds; within a second nothing has changed for people. */
function changeText(result: ManualActionResult): string {
  const [endBefore, end] = [endOf(result.before?.holds ?? []), endOf(result.account.holds)]
  const shown = untilText(endBefore) === untilText(end) ? exactMoment : moment
  const [before, now] = [untilText(endBefore, shown), untilText(end, shown)]
  if (isHeldLonger(result) && before !== now) return `changed: the account is held ${now}; before: ${before}`
  return `nothing else has changed: the account is held ${now}, as before`
}

function untilText(ms: number, shown: (ms: number) => string = moment): string {
  return ms === Infinity ? 'until lockstep unlock' : `until ${shown(ms)}`
}

/** A token's hold ends with the token too, so its end is shown only where it has a time. */
function holdText({ kind, name, serial, actor, sinceMs, untilMs, reason }: Hold): string {
  const who = kind === 'manual' ? plain(actor) : kind === 'token' ? `token ${plain(serial ?? name)}` : HOLDERS[kind]
  const end = kind === 'manual' || untilMs !== null ? `, ${untilText(untilMs ?? Infinity)}` : ''
  return `${who ?? name} since ${moment(sinceMs)}${end}${reason === '' ? '' : `: ${plain(reason)}`}`
}

const HOLDERS: Readonly<Record<string, string>> = {
  account: 'an event without a serial',
  lockout: 'a user lockout of privacyIDEA',
}

type FailCounter = 'kept' | 'reset' | 'refused' | 'pending'

export function unlockData(result: ManualActionResult, order: ManualAction): object {
  const ended = endedHolds(result)
  const isReset = result.resetOrdered.length > 0 && failCounterAfter(result, order) === 'reset'
  const isChanged = ended.length > 0 || isReleased(result) || isReset
  const serials = [...new Set([...serialsOf(ended), ...result.resetOrdered])]
  const tokens = serials.map((serial) => ({ serial, failCounter: failCounterAfter(result, order) }))
  return { found: foundIn(result), changed: isChanged, ended, tokens }
}

function endedHolds({ before, account }: ManualActionResult): readonly Hold[] {
  return (before?.holds ?? [])
    .filter(({ name }) => !account.holds.some((hold) => hold.name === name))
    .toSorted((a, b) => a.sinceMs - b.sinceMs)
}

function isReleased({ before, account, unrecorded }: ManualActionResult): boolean {
  return (before?.lockedByUs === true && !account.lockedByUs) || unrecorded === 'adopted'
}

function serialsOf(holds: readonly Hold[]): string[] {
  return holds.flatMap(({ kind, serial }) => (kind === 'token' && serial !== null ? [serial] : []))
}

function failCounterAfter({ isDone, isResetRefused }: ManualActionResult, { resetsTokens }: ManualAction): FailCounter {
  if (!resetsTokens) return 'kept'
  if (isResetRefused) return 'refused'
  return isDone ? 'reset' : 'pending'
}

/** The findings and the result. @param hasApi privacyIDEA's API is configured, to reset a fail counter */
export function unlockLines(result: ManualActionResult, order: ManualAction, hasApi: boolean): string[] {
  const { before, isDone } = result
  const ended = endedHolds(result)
  const lines = ended.map((hold) => `ended: held by ${holdText(hold)}`)
  if (ended.length === 0 && (before?.holds ?? []).length === 0) lines.push('found: no hold on record')
  if (before?.lockedByUs === true) {
    lines.push(
      isReleased(result) ? 'the lock in the directory was removed' : 'the lock in the directory is still there',
    )
  } else if (ended.length > 0 && isDone) lines.push('no lock of ours had been written in the directory')
  const serials = order.resetsTokens ? result.resetOrdered : serialsOf(ended)
  return [...lines, ...counterLines(result, order, hasApi, serials)]
}

function counterLines(
  result: ManualActionResult,
  order: ManualAction,
  hasApi: boolean,
  serials: readonly string[],
): string[] {
  const after = failCounterAfter(result, order)
  if (serials.length === 0 && order.resetsTokens)
    return ['no fail counter of a token of the account is full: none was reset']
  if (serials.length === 0 || after === 'refused' || after === 'pending') return []
  const isOne = serials.length === 1
  const which = `the ${isOne ? 'fail counter' : 'fail counters'} of ${serials.map(plain).join(', ')}`
  if (after === 'reset') return [`${which} ${isOne ? 'was' : 'were'} reset`]
  const how = hasApi
    ? `lockstep unlock ${orderedName(order)} --reset-token --reason TEXT`
    : 'reset the fail counter in privacyIDEA'
  return [`${which} ${isOne ? 'was' : 'were'} not reset: privacyIDEA may still refuse the token`, `Next: ${how}`]
}

/** The account as it was named in the order, for a further command. */
export function orderedName({ login, realm }: Pick<ManualAction, 'login' | 'realm'>): string {
  return plain(realm === null ? login : `${login} --realm ${realm}`)
}
