import { toAppError } from '../../core/error.ts'
import type { Outcome } from '../../core/account/outcome.ts'
import type { Claim } from '../../ports/store/store.ts'
import type { Ports } from '../ports.ts'
import { converge } from './converge.ts'
import { failed } from './conclude.ts'
import { finish } from './finish.ts'
import { beginTurn } from './turn.ts'

/**
 * One account, from observe to record: read its desired and its observed state, and drive one to the other,
 * one change at a time, until the plan is empty or has a reason to stop. Read this first, then turn.ts and converge.ts.
 *
 * Null where another worker took the account over meanwhile: nothing was written under this claim since, and the
 * account is marked, so that its waiting files are compared with the record once more.
 */
export async function reconcileAccount(claim: Claim, ports: Ports): Promise<Outcome | null> {
  try {
    const turn = await beginTurn(claim, ports)
    const conclusion = turn.error === null ? await converge(turn) : failed(turn, turn.error)
    return await finish(turn, conclusion)
  } catch (thrown) {
    if (toAppError(thrown).code !== 'lease-lost') throw thrown
    await ports.queue.markForRepair(claim.key, ports.clock.nowMs())
    return null
  }
}
