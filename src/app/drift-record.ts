import type { FindingDraft } from '../ports/store/finding.ts'
import type { LeftAlone, ResyncReport } from '../reconcile/source/resync-ports.ts'
import type { Store } from '../store/store.ts'

const FIRST_MAX = 5

/** Records the findings of a full resync, where there are any. */
export async function recordDrift(store: Pick<Store, 'sourceState'>, report: ResyncReport): Promise<void> {
  const { tokens, accounts, differences, drift } = report
  if (differences === 0) return
  const first = drift.slice(0, FIRST_MAX).map(({ account, serial, why }) => ({ account, serial, why }))
  await store.sourceState.differed({ tokens, accounts, differences, first })
}

const CUT = 'directory-cut'
const ANSWER_LENGTH_MAX = 500

/** Makes findings of the directories that a full resync could not compare and ends the findings of the others. */
export async function recordLeftOut({ findings }: Pick<Store, 'findings'>, left: readonly LeftAlone[]): Promise<void> {
  const each = [...new Map(left.map((one) => [one.directory, one])).values()]
  const drafts = each.map(({ directory, code, reason }): FindingDraft => {
    const said = reason.slice(0, ANSWER_LENGTH_MAX)
    return code === CUT
      ? { subject: directory, reason: { code: 'search-cut', params: { directory, said } } }
      : { subject: directory, reason: { code: 'directory-left-out', params: { directory, code, said } } }
  })
  for (const code of ['search-cut', 'directory-left-out'] as const) {
    await findings.sync(
      code,
      drafts.filter(({ reason }) => reason.code === code),
    )
  }
}
