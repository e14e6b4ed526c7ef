import { GENESIS_HASH, recordHash, type ChainFault, type Head } from '../engine/journal.ts'
import type { JournalRow } from '../schema/schema.ts'

const FAULTS_MAX = 100
/** Archives of this format go with a record of it; 0.1.0 wrote none, and kept beside the chain where it begins. */
export const ARCHIVE_FORMAT = 2

interface Archived extends Head {
  readonly from: number
  readonly file: string
  /** By 0.1.0. */
  readonly isOld: boolean
}

/**
 * Walks a chain record by record, and remembers of it only the last one, what was pruned and what was archived where.
 * Ask for `faults` after `end`.
 */
export class ChainChecker {
  #first: Head | null = null
  #last: Head | null = null
  readonly #pruned: Head[] = []
  readonly #archived: Archived[] = []
  readonly #gaps: { readonly from: number; readonly to: number; readonly where: string }[] = []
  readonly #faults: ChainFault[] = []
  checked = 0

  get last(): Head | null {
    return this.#last
  }

  add(row: JournalRow): void {
    this.checked++
    const { hash, ...record } = row
    const last = this.#last
    this.#first ??= { seq: row.seq - 1, hash: row.prev_hash }
    if (last !== null && row.seq > last.seq + 1) this.#gap(last.seq + 1, row.seq - 1, '')
    else if (last !== null && row.seq <= last.seq) {
      this.#fault(row.seq, `record ${row.seq} stands after record ${last.seq}`)
    } else if (last !== null && row.prev_hash !== last.hash) {
      this.#fault(row.seq, `record ${row.seq} does not follow record ${last.seq}: one of them was changed or moved`)
    }
    if (recordHash(record) !== hash) this.#fault(row.seq, `record ${row.seq} was changed`)
    if (row.kind === 'pruned' || row.kind === 'archived') this.#note(row)
    this.#last = { seq: row.seq, hash }
  }

  /** Compares the end of the chain with the head that was kept apart, and its beginning with what was pruned. */
  end(head: Head): readonly ChainFault[] {
    const last = this.#last ?? { seq: 0, hash: GENESIS_HASH }
    if (last.seq < head.seq) this.#gap(last.seq + 1, head.seq, ' at the end')
    else if (last.hash !== head.hash) this.#fault(last.seq, `record ${last.seq} is not the one that the head names`)
    if (this.#first !== null) this.#checkBeginning(this.#first)
    for (const gap of this.#gaps) this.#fault(gap.from, this.#gapText(gap))
    return this.#faults.toSorted((a, b) => a.seq - b.seq)
  }

  /** @param before the previous record by the first record */
  #checkBeginning(before: Head): void {
    const known = [{ seq: 0, hash: GENESIS_HASH }, ...this.#pruned.filter(({ seq }) => seq <= before.seq)]
    const nearest = known.reduce((a, b) => (b.seq > a.seq ? b : a))
    if (nearest.seq < before.seq) this.#gap(nearest.seq + 1, before.seq, ' at the beginning')
    else if (!known.some(({ seq, hash }) => seq === before.seq && hash === before.hash)) {
      const what =
        before.seq === 0 ? 'the beginning of the chain' : `record ${before.seq}, the last one that was pruned`
      this.#fault(before.seq + 1, `record ${before.seq + 1} does not follow ${what}`)
    }
  }

  #note(row: JournalRow): void {
    const { from, to: seq, file, hash, format, adopted } = bodyOf(row)
    if (typeof seq !== 'number' || typeof hash !== 'string' || seq >= row.seq) return
    if (row.kind === 'pruned') {
      if (adopted === true) this.#checkAdopted(row.seq, { seq, hash })
      this.#pruned.push({ seq, hash })
    } else if (typeof from === 'number' && typeof file === 'string') {
      this.#archived.push({ from, seq, hash, file, isOld: format === undefined })
    }
  }

  /** A beginning that was taken over from 0.1.0: once, before any other, and one that 0.1.0 can have made. */
  #checkAdopted(at: number, { seq, hash }: Head): void {
    const isMade = seq === 0 || this.#archived.some((each) => each.isOld && each.seq === seq && each.hash === hash)
    if (isMade && this.#pruned.length === 0) return
    this.#fault(at, `record ${at} takes over a beginning that no earlier version made: the store was made to look old`)
  }

  #gap(from: number, to: number, where: string): void {
    if (this.#gaps.length < FAULTS_MAX) this.#gaps.push({ from, to, where })
  }

  #gapText({ from, to, where }: { from: number; to: number; where: string }): string {
    const text = `${from === to ? `record ${from} is` : `records ${from} to ${to} are`} missing${where}`
    const files = this.#archived.filter((each) => each.from <= to && each.seq >= from)
    const [file] = files
    if (file === undefined) return text
    return `${text}; archived into ${file.file}${files.length === 1 ? '' : ` and ${files.length - 1} more`}`
  }

  #fault(seq: number, what: string): void {
    if (this.#faults.length < FAULTS_MAX) this.#faults.push({ seq, what })
  }
}

/** A body that is no JSON object is none that names anything; that it was changed is found by its hash. */
function bodyOf(row: JournalRow): Readonly<Record<string, unknown>> {
  try {
    return (JSON.parse(row.body) as Readonly<Record<string, unknown>> | null) ?? {}
  } catch {
    return {}
  }
}
