import { shownRequestOf, wantedBindings, type BindingTarget } from '../../privacyidea/setup/bindings.ts'
import { isAtLeast, policyRequestOf, wantedPolicies, type PolicyRequest } from '../../privacyidea/setup/policies.ts'

/** What `lockstep privacyidea setup --print` shows: the calls to make by hand. No server is used. */

export interface CallByHand {
  readonly method: 'POST'
  readonly path: string
  readonly body: Readonly<Record<string, unknown>>
}

export function callsByHand(to: 'script' | 'webhook', hookUrl: string, policies: PolicyRequest): readonly CallByHand[] {
  const target: BindingTarget =
    to === 'script' ? { via: 'script' } : { via: 'webhook', hookUrl, contentType: usualContentType(policies.version) }
  return [
    ...wantedBindings(target).map((binding) => ({
      method: 'POST' as const,
      path: '/event',
      body: shownRequestOf(binding),
    })),
    ...wantedPolicies(policies).map((policy) => ({
      method: 'POST' as const,
      path: `/policy/${policy.name}`,
      body: policyRequestOf(policy),
    })),
  ]
}

/** Each version's name for a url-encoded body. */
function usualContentType(version: string): string {
  if (isAtLeast(version, 3, 14)) return 'application/x-www-form-urlencoded'
  return isAtLeast(version, 3, 11) ? 'urlencoded' : 'urlendcode'
}
