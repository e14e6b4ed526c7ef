import type { ReviewCounts } from '../../ports/store/review.ts'
import type { Store } from '../../store/store.ts'

/** The number of all waiting reviews: locks, and tokens whose loss waits. */
export async function reviewCounts(store: Pick<Store, 'reviews' | 'losses'>): Promise<AllReviewCounts> {
  const [locks, losses] = [await store.reviews.counts(), await store.losses.counts()]
  const oldest = [locks.oldestMs, losses.oldestMs].filter((ms) => ms !== null)
  return {
    waiting: locks.waiting + losses.waiting,
    approved: locks.approved + losses.approved,
    oldestMs: oldest.length === 0 ? null : Math.min(...oldest),
    locks: { waiting: locks.waiting, approved: locks.approved },
    losses: { waiting: losses.waiting, approved: losses.approved, dismissed: losses.dismissed },
  }
}

export interface AllReviewCounts extends ReviewCounts {
  readonly locks: { readonly waiting: number; readonly approved: number }
  readonly losses: { readonly waiting: number; readonly approved: number; readonly dismissed: number }
}
