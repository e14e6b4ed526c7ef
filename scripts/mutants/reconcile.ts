import type { Mutant } from './mutant.ts'

const CONVERGE = 'src/reconcile/account/converge.ts'
const FINISH = 'src/reconcile/account/finish.ts'
const APPLY = 'src/reconcile/account/apply-change.ts'
const LEDGER = { file: 'src/reconcile/ledger/ledger.ts', tests: ['test/reconcile/account/ledger.test.ts'] } as const

/** Faults in a turn at an account: converge, write ahead, finish, recovery after a crash. */
export const RECONCILE_MUTANTS: readonly Mutant[] = [
  {
    id: 'converge-does-not-renew-its-lease',
    file: CONVERGE,
    find: 'await turn.ports.queue.renew(turn.claim)',
    replace: '',
    tests: ['test/reconcile/lease.test.ts'],
  },
  {
    id: 'converge-concludes-from-an-old-reading',
    file: CONVERGE,
    find: "if (!turn.isFresh && planned.kind !== 'change') {",
    replace: "if (turn.races < 0 && planned.kind !== 'change') {",
    tests: ['test/reconcile/interplay.test.ts'],
  },
  {
    id: 'converge-believes-a-replica-that-is-behind',
    file: CONVERGE,
    find: "if (found.kind === 'sure') return planned",
    replace: "if (found.kind !== 'elsewhere') return planned",
    tests: ['test/reconcile/account/replicas.test.ts'],
  },
  {
    id: 'converge-forgets-while-the-holder-is-away',
    file: CONVERGE,
    find: "if (found.kind === 'behind' && planned.kind === 'forget') throw waitsForHolder(found.holders)",
    replace: '',
    tests: ['test/reconcile/account/replicas.test.ts'],
  },
  {
    id: 'finish-does-not-ask-again-for-a-reset',
    file: FINISH,
    find: 'if (source.resetWaits) amendments.push(askedAgain(ports.clock.nowMs() + PAUSED_LOOK_MS))',
    replace: '',
    tests: ['test/reconcile/interplay.test.ts'],
  },
  {
    id: 'finish-does-not-look-for-late-writes',
    file: FINISH,
    find: 'if (lateMs !== null) amendments.push({ againAtMs: lateMs, isUnread: false, instead: null, beside: null })',
    replace: '',
    tests: ['test/reconcile/account/late-writes.test.ts'],
  },
  {
    id: 'finish-hides-that-the-source-was-not-read',
    file: FINISH,
    find: 'if (source.unread !== null) amendments.push(unreadSource(turn))',
    replace: 'if (source.unread !== null) amendments.length = 0',
    tests: ['test/reconcile/account/guards.test.ts'],
  },
  {
    id: 'apply-writes-during-a-pause',
    file: APPLY,
    find: "if (verdict.kind === 'paused') {",
    replace: "if (verdict.kind === 'unread') {",
    tests: ['test/reconcile/account/pause.test.ts'],
  },
  {
    id: 'apply-takes-an-unknown-outcome-for-none',
    file: APPLY,
    find: "if (error.code === 'outcome-unknown') throw error",
    replace: '',
    tests: ['test/reconcile/account/late-writes.test.ts'],
  },
  {
    id: 'apply-gives-up-where-others-were-faster',
    file: APPLY,
    find: "if (error.code === 'write-raced') return { kind: 'raced' }",
    replace: '',
    tests: ['test/reconcile/account/late-writes.test.ts'],
  },
  {
    ...LEDGER,
    id: 'ledger-leaves-the-unlock-file-waiting',
    find: "if (result === 'applied') await ldif.applied(change)",
    replace: '',
    tests: ['test/reconcile/account/overtaken.test.ts'],
  },
  {
    ...LEDGER,
    id: 'ledger-removes-the-files-of-another-worker',
    find: "=== 'lease-lost' ? change.holds : []",
    replace: "=== 'lease-lost' ? [] : []",
    tests: ['test/reconcile/account/overtaken.test.ts'],
  },
  {
    ...LEDGER,
    id: 'ledger-writes-files-for-a-refused-lock',
    find: 'if (refusal === null) await ldif.prepare(change)',
    replace: 'await ldif.prepare(change)',
  },
  {
    id: 'recovery-is-sure-too-early',
    file: 'src/reconcile/ledger/recover.ts',
    find: 'const untilMs = isSure ? null : ports.clock.nowMs() + MAY_ARRIVE_MS',
    replace: 'const untilMs = null',
    tests: ['test/reconcile/account/late-writes.test.ts'],
  },
  {
    id: 'recovery-claims-what-others-wrote',
    file: 'src/reconcile/ledger/recover.ts',
    find: 'if (!wasApplied && (await isPerhapsTheirs(open, recovered, observed, ports))) {',
    replace: 'if (wasApplied && (await isPerhapsTheirs(open, recovered, observed, ports))) {',
    tests: ['test/reconcile/account/late-writes.test.ts'],
  },
  {
    id: 'turn-does-not-repair-files-after-a-crash',
    file: 'src/reconcile/account/turn.ts',
    find: 'if (claim.isForRepair) await repairFiles(claim, turn.desired, observed, ours, ports)',
    replace: '',
    tests: ['test/reconcile/account/overtaken.test.ts'],
  },
]
