import type { Mutant } from './mutant.ts'

const QUEUE = { file: 'src/store/engine/queue-statements.ts', tests: ['test/store/claims.test.ts'] } as const
const RECORDS = { file: 'src/store/accounts/records.ts', tests: ['test/store/claims.test.ts'] } as const
const LOSSES = {
  file: 'src/store/decisions/loss-breaker.ts',
  tests: ['test/store/guards/losses.test.ts'],
} as const

/** Faults in claims and lease tokens, in what a row is written under, and in the breakers' counts. */
export const STORE_MUTANTS: readonly Mutant[] = [
  {
    ...QUEUE,
    id: 'claim-takes-what-others-hold',
    find: "where('queue.lease_until_ms', '<', uptimeMs)",
    replace: "where('queue.lease_until_ms', '>', uptimeMs)",
  },
  {
    ...QUEUE,
    id: 'claim-compares-leases-of-another-boot',
    find: "where.and([where('queue.lease_boot', '=', boot), where('queue.lease_until_ms', '<', uptimeMs)])",
    replace: "where('queue.lease_until_ms', '<', uptimeMs)",
  },
  {
    ...QUEUE,
    id: 'claim-does-not-see-a-turn-that-broke-off',
    find: "repair: update.case().when('lease_token', 'is not', null).then(1)",
    replace: "repair: update.case().when('lease_token', 'is not', null).then(0)",
  },
  {
    ...QUEUE,
    id: 'mark-is-lost-beside-a-running-turn',
    find: "generation: update('queue.generation', '+', 1),",
    replace: "generation: update.ref('queue.generation'),",
  },
  {
    ...QUEUE,
    id: 'finish-ends-the-claim-of-another-worker',
    find: ".where('lease_token', '=', token)\n        .where('generation', '=', generation)",
    replace: ".where('generation', '=', generation)",
  },
  {
    ...QUEUE,
    id: 'free-ends-the-claim-of-another-worker',
    find: 'set(key, token).set(NO_LEASE)',
    replace: "db.updateTable('queue').where('account_key', '=', key).set(NO_LEASE)",
  },
  {
    ...QUEUE,
    id: 'renew-extends-the-lease-of-another-worker',
    find: 'set(key, token).set({ lease_until_ms: until_ms',
    replace: "db.updateTable('queue').where('account_key', '=', key).set({ lease_until_ms: until_ms",
  },
  {
    id: 'lease-of-a-running-process-ends',
    file: 'src/store/engine/leases.ts',
    find: 'clock.uptimeMs() - Number(sinceMs) >= leaseMs',
    replace: 'clock.uptimeMs() - Number(sinceMs) >= 0',
    tests: ['test/store/claims.test.ts'],
  },
  {
    ...RECORDS,
    id: 'plan-is-recorded-under-a-lost-lease',
    find: 'if (opened.numAffectedRows !== 1n) throw leaseLost(key)',
    replace: '',
  },
  {
    ...RECORDS,
    id: 'close-is-recorded-under-a-lost-lease',
    find: 'await scope.hot.ownLock.run(scope.on, values)\n  if (numAffectedRows !== 1n) throw leaseLost(key)',
    replace: 'await scope.hot.ownLock.run(scope.on, values)\n  if (numAffectedRows < 0n) throw leaseLost(key)',
  },
  {
    file: 'src/store/accounts/queue.ts',
    tests: ['test/store/claims.test.ts'],
    id: 'outcome-is-recorded-under-a-lost-lease',
    find: 'if (freed.numAffectedRows !== 1n) throw leaseLost(key)',
    replace: '',
  },
  {
    ...RECORDS,
    id: 'breaker-is-not-asked',
    find: "change.kind === 'lock' ? await breaker.pass(scope, change) : null",
    replace: "change.kind === 'register' ? await breaker.pass(scope, change) : null",
    tests: ['test/store/guards/breaker.test.ts'],
  },
  {
    ...RECORDS,
    id: 'breaker-counts-locks-that-were-not-written',
    find: "if (result === 'not-applied' && change.kind === 'lock') await uncountLock(scope, id)",
    replace: '',
    tests: ['test/store/guards/breaker.test.ts'],
  },
  {
    ...LOSSES,
    id: 'loss-breaker-lets-one-more-pass',
    find: '.offset(allowed - 1)',
    replace: '.offset(allowed)',
  },
  {
    ...LOSSES,
    id: 'loss-breaker-counts-under-a-lost-lease',
    find: 'if (claim !== null) await checkHeld(scope, claim)',
    replace: '',
    tests: ['test/store/claims.test.ts'],
  },
  {
    ...LOSSES,
    id: 'loss-breaker-opens-by-itself',
    find: "if (isManual && (await isFindingOpen(scope, LOSS_FINDING, ''))) return",
    replace: "if (!isManual && (await isFindingOpen(scope, LOSS_FINDING, ''))) return",
  },
  {
    ...LOSSES,
    id: 'loss-breaker-counts-what-has-a-reason',
    find: '|| (await isExplained(scope, key, loss.serial))) continue',
    replace: ') continue',
    tests: ['test/reconcile/source/losses.test.ts'],
  },
  {
    ...LOSSES,
    id: 'loss-breaker-counts-twice',
    find: 'if (await isCounted(scope, key, loss.serial, sinceMs)) continue',
    replace: '',
  },
]
