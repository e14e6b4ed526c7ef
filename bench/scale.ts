import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'

/** How much is measured. Rounds are medians' raw material; what is compared is measured in turns within each round. */
export interface Scale {
  readonly throughput: {
    readonly rounds: number
    readonly locks: number
    readonly warmUp: number
    readonly scriptLocks: number
  }
  readonly latency: { readonly events: number; readonly scriptEvents: number }
  readonly shim: { readonly runs: number }
  readonly program: { readonly runs: number; readonly starts: number; readonly idleMs: number }
  readonly flat: {
    readonly rounds: number
    readonly events: number
    readonly few: number
    readonly many: number
    readonly journalRecords: number
  }
  /** Tokens and accounts, one size after the other. */
  readonly resync: { readonly rounds: number; readonly sizes: readonly number[] }
}

export const FULL: Scale = {
  throughput: { rounds: 5, locks: 4_000, warmUp: 1_000, scriptLocks: 100 },
  latency: { events: 500, scriptEvents: 100 },
  shim: { runs: 200 },
  program: { runs: 30, starts: 9, idleMs: 10_000 },
  flat: { rounds: 5, events: 500, few: 1_000, many: 100_000, journalRecords: 1_000_000 },
  resync: { rounds: 2, sizes: [100_000, 300_000] },
}

export const QUICK: Scale = {
  throughput: { rounds: 2, locks: 2_000, warmUp: 500, scriptLocks: 40 },
  latency: { events: 150, scriptEvents: 30 },
  shim: { runs: 50 },
  program: { runs: 10, starts: 3, idleMs: 3_000 },
  flat: { rounds: 2, events: 500, few: 1_000, many: 20_000, journalRecords: 100_000 },
  resync: { rounds: 2, sizes: [10_000, 30_000] },
}

/** Where a measure puts its files, and how it says what it does. */
export interface Workshop {
  /** A new folder on the disk that holds the temporary files. */
  folder(name: string): Promise<string>
  /** Progress, on standard error. */
  say(text: string): void
}

export function workshopIn(dir: string): Workshop {
  const startedAt = performance.now()
  return {
    folder: (name) => mkdtemp(join(dir, `${name}-`)),
    say: (text) => {
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)
      process.stderr.write(`${seconds} s  ${text}\n`)
    },
  }
}
