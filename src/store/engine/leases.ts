import { randomUUID } from 'node:crypto'
import type { Transaction } from 'kysely'
import { AppError } from '../../core/error.ts'
import type { AccountKey } from '../../core/names.ts'
import type { LeaseToken } from '../../ports/store/store.ts'
import type { BootClock } from './boot-clock.ts'
import { isOwnerDead } from './process-owner.ts'
import type { LeaseColumns, Tables } from '../schema/schema.ts'

/**
 * Leases on rows of the store. A lease is owned by the token of its claim, not by a process: each write under it names
 * the token, and writes nothing where it is no longer the live one. It runs in time since the boot of the machine,
 * which is stored with it, so that no setting of a clock ends it. It ends when it ran out, or when its process is
 * proven dead. A lease of another boot cannot be compared: it ends once it was observed unchanged for its whole length.
 */
export interface LeaseOptions {
  /** Names this process and its start. */
  readonly owner: string
  readonly leaseMs: number
  readonly boot: BootClock
}

export const NO_LEASE: LeaseColumns = {
  lease_owner: null,
  lease_token: null,
  lease_boot: null,
  lease_until_ms: null,
  lease_watch: null,
}

export interface Lease extends LeaseColumns {
  readonly lease_owner: string
  readonly lease_token: LeaseToken
  readonly lease_boot: string
  readonly lease_until_ms: number
}

export function newLease({ owner, leaseMs, boot }: LeaseOptions): Lease {
  return {
    lease_owner: owner,
    // 122 random bits from a pool: a token is made for each claim.
    lease_token: randomUUID() as LeaseToken,
    lease_boot: boot.bootId,
    lease_until_ms: boot.uptimeMs() + leaseMs,
    lease_watch: null,
  }
}

export function leaseLost(key: AccountKey): AppError {
  return new AppError('lease-lost', `another worker took over ${key}`)
}

/** The table's leases whose process is proven dead, or that were observed for their whole length, are free. */
export async function freeDeadLeases(
  trx: Transaction<Tables>,
  table: 'queue' | 'mail',
  options: Pick<LeaseOptions, 'leaseMs' | 'boot'>,
): Promise<void> {
  const rows = await trx
    .selectFrom(table)
    .select(['lease_owner', 'lease_token', 'lease_boot', 'lease_watch'])
    .distinct()
    .where('lease_owner', 'is not', null)
    .execute()
  for (const { lease_owner: owner, lease_token: token, ...lease } of rows) {
    if (owner === null) continue
    const outcome = isOwnerDead(owner) ? ENDS : watchLease(lease, options)
    if (outcome === null) continue
    // The token stays: it shows the next claim that the row was not released.
    const free = { lease_owner: null, lease_until_ms: null, lease_watch: null }
    await trx
      .updateTable(table)
      .set(outcome.kind === 'ends' ? free : { lease_watch: outcome.watch })
      .where('lease_owner', '=', owner)
      .where('lease_token', token === null ? 'is' : '=', token)
      // Of accounts that were claimed together one may have been renewed since.
      .where('lease_watch', lease.lease_watch === null ? 'is' : '=', lease.lease_watch)
      .execute()
  }
}

type Watched = { readonly kind: 'ends' } | { readonly kind: 'observed'; readonly watch: string }
const ENDS: Watched = { kind: 'ends' }

/** @returns null where there is nothing to do: it is of this boot and ends by itself, or is observed already */
function watchLease(
  { lease_boot: boot, lease_watch: watch }: Pick<LeaseColumns, 'lease_boot' | 'lease_watch'>,
  { leaseMs, boot: clock }: Pick<LeaseOptions, 'leaseMs' | 'boot'>,
): Watched | null {
  if (boot === clock.bootId) return null
  const [watchBoot, sinceMs] = watch?.split(' ') ?? []
  if (watchBoot !== clock.bootId) return { kind: 'observed', watch: `${clock.bootId} ${clock.uptimeMs()}` }
  return clock.uptimeMs() - Number(sinceMs) >= leaseMs ? ENDS : null
}
