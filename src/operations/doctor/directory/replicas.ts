import type { DirectorySettings } from '../../../core/settings/settings.ts'
import { openProbe } from '../../../directory/probe/probe.ts'
import { namingContextOf } from '../../../directory/pool/server-facts.ts'
import { systemClock } from '../../../ports/clock.ts'
import { checkPolicy } from './openldap.ts'
import { checksOf } from './type-checks.ts'
import { Findings, troubleOf } from '../findings.ts'
import { SEE_SERVER_LOG } from './account.ts'

/**
 * The other servers of a directory, after the check of the first: the condition for enforcing a lock may be missing on
 * one of them alone (an overlay, a policy that did not arrive). Only problems are reported.
 */
export async function checkReplicas(
  found: Findings,
  settings: DirectorySettings,
  urls: readonly string[],
): Promise<void> {
  for (const url of urls) {
    const own = new Findings('')
    try {
      await checkOne(own, { ...settings, urls: [url] })
    } catch (thrown) {
      const why = 'Whether a lock keeps its user out there could not be looked at.'
      own.warn('replica', troubleOf(thrown, why, SEE_SERVER_LOG))
    }
    for (const { status, check, what, why, fix, code } of own.all) {
      const trouble = { what: `${url}: ${what}`, why, fix, ...(code === null ? {} : { code }) }
      if (status === 'fail' || status === 'warn') found[status](check, trouble)
    }
  }
}

async function checkOne(found: Findings, settings: DirectorySettings): Promise<void> {
  await using probe = openProbe(settings, systemClock)
  const facts = await probe.facts()
  if (!(await probe.hasBase())) {
    found.fail('base', {
      what: `${settings.bindDn} sees no entry ${settings.base} there`,
      why: 'Accounts are not found on this server, so that it cannot take over.',
      fix: 'Let it replicate all of the base, and give the same right to read as on the first server.',
      code: 'entry-not-found',
    })
    return
  }
  const policies = await checksOf(settings.type).readPolicies(probe)
  if (policies !== null) checkPolicy(found, policies, facts, namingContextOf(facts, settings.base) ?? settings.base)
}
