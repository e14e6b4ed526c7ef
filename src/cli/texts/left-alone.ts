import type { Trouble } from '../../contract/verdict.ts'
import type { ResyncReport } from '../../reconcile/source/resync-ports.ts'

/** For a full resync that could not compare every directory. */
export function troubleOfLeft(left: ResyncReport['left']): Trouble | null {
  if (left.length === 0) return null
  const message = `not compared: ${left.map(({ directory }) => directory).join(', ')}`
  return { code: 'not-asked', message, hint: 'The others were done; give the same command again once they answer.' }
}
