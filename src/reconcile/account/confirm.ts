import { AppError } from '../../core/error.ts'
import { directoryOf } from '../../core/names.ts'
import type { ObservedState } from '../../core/account/state.ts'
import type { Claim } from '../../ports/store/store.ts'
import type { Ports } from '../ports.ts'

/**
 * A missing lock of ours is proof only on a server that had it: a replica that is behind shows the same. `sure`: this
 * one had it, or there is no other. `elsewhere`: the reading of a server that had it. `behind`: none that had it
 * answers.
 */
export type Confirmed =
  | { readonly kind: 'sure' }
  | { readonly kind: 'elsewhere'; readonly observed: ObservedState }
  | { readonly kind: 'behind'; readonly holders: readonly string[] }

/** @param writer the server that took a lock in this very turn */
export async function confirmGone(
  claim: Claim,
  observed: ObservedState,
  writer: string | null,
  ports: Pick<Ports, 'directory' | 'verification'>,
): Promise<Confirmed> {
  const { server } = observed
  if (server === undefined) return { kind: 'sure' }
  const known = new Set([...(await ports.verification.holdersOf(claim.key)), ...(writer === null ? [] : [writer])])
  const configured = ports.directory.servers(directoryOf(claim.key)).map(({ url }) => url)
  // A server that the configuration no longer names proves nothing any more.
  const holders = configured.filter((url) => known.has(url))
  if (holders.length === 0 || holders.includes(server)) return { kind: 'sure' }
  const elsewhere = await ports.directory.observeAt(claim.key, holders)
  return elsewhere === null ? { kind: 'behind', holders } : { kind: 'elsewhere', observed: elsewhere }
}

export function waitsForHolder(holders: readonly string[]): AppError {
  const message = `${holders.join(' and ')} took our lock and does not answer, and the other servers do not have it yet`
  return new AppError('directory-unreachable', message, {
    hint: 'Whether somebody removed the lock cannot be determined. It is looked at again by itself; take a server out of urls that is gone for good.',
  })
}
