import { counted } from '../../core/format/counted.ts'
import type { Settings } from '../../core/settings/settings.ts'
import { Findings, type Finding } from './findings.ts'
import { whyNoStore, openStoreOf } from '../../app/state-store.ts'
import { lossCauseText } from '../../core/reasons/limits.ts'

/** Findings of `lockstep doctor` about losses that wait for review, and the breaker that holds them back. */
export async function lossFindings(settings: Settings): Promise<readonly Finding[]> {
  if (settings.privacyidea === null) return []
  const found = new Findings('losses of tokens')
  if (settings.guards.lossBreaker === null) {
    found.warn('loss-breaker', {
      what: 'guards.lossBreaker is off',
      why: 'Where privacyIDEA suddenly lists hardly any tokens, their accounts are unlocked and lose their serials.',
      fix: 'Take `lossBreaker: null` out of the section guards.',
    })
    return found.all
  }
  const missing = whyNoStore(settings)
  if (missing !== null) {
    found.skip('losses', {
      what: `losses that wait for review: not looked at, since ${missing}`,
      why: 'Until they are decided, serials and locks stay as they are.',
      fix: 'After the first start, as root or as the user of the service: lockstep doctor',
    })
    return found.all
  }
  await using store = await openStoreOf(settings, false)
  const { waiting, dismissed } = await store.losses.counts()
  if (waiting === 0) {
    const kept = dismissed === 0 ? '' : `; ${counted(dismissed, 'was', 'were')} dismissed, and serials and locks stay`
    found.ok('losses', `no loss of a token waits for review${kept}`)
    return found.all
  }
  const [first] = await store.losses.list({ limit: 1 })
  const cause = first?.cause ?? null
  found.fail('losses', {
    what: `${counted(waiting, 'loss of a token waits', 'losses of tokens wait')} for review`,
    why: `${cause === null || first === undefined ? '' : `${first.serial}: ${lossCauseText(cause)}. `}Until it is decided, serials and locks stay as they are.`,
    fix: 'lockstep review',
  })
  return found.all
}
