import { DatabaseSync } from 'node:sqlite'
import type { Instance } from '../demo/instance.ts'
import { systemClock } from '../src/ports/clock.ts'
import { GENESIS_HASH, recordHash } from '../src/store/engine/journal.ts'
import { openStore } from '../src/store/store.ts'
import { serialOf } from './accounts.ts'
import { openBenchDirectory, rateOf, type BenchDirectory } from './bench-directory.ts'
import { createBenchInstance } from './bench-instance.ts'
import { driveLockstep, rateOfBareLoop } from './load.ts'
import { processorMs } from './process-cost.ts'
import type { Report, Row } from './report.ts'
import type { Scale, Workshop } from './scale.ts'
import { figure, median } from './statistics.ts'

/** "Flat": neither the processor time nor the wall time of an event grows by more than this. */
const GROWTH_MAX = 1.25
const PAST_ACCOUNTS = 100_000
/** Archiving the old records would make the journal short again. */
const KEEP_ALL = 'retention: { journalRecords: 100000000 }\n'

/** One Lockstep at one size, and what its events cost. */
interface Site {
  readonly name: string
  readonly directory: BenchDirectory
  readonly instance: Instance
  readonly pid: number
  readonly cost: { readonly processorUs: number[]; readonly wallUs: number[]; readonly bareUs: number[] }
}

/** Whether an event costs more where there are many accounts, or a long journal. */
export async function measureFlat(scale: Scale, workshop: Workshop): Promise<Report> {
  const { few, many, journalRecords, rounds, events } = scale.flat
  await using opened = new AsyncDisposableStack()
  const sites: Site[] = []
  for (const [accounts, records] of [
    [few, 0],
    [many, 0],
    [many, journalRecords],
  ] as const) {
    sites.push(await openSite(opened, workshop, accounts, records))
  }
  for (let round = 0; round <= rounds; round++) {
    for (const site of sites) await runRound(site, events, round > 0)
    if (round > 0) workshop.say(`cost per event ${round}/${rounds}: ${sites.map(lastCost).join('; ')}`)
  }
  return reportOf(sites, rounds, events)
}

async function openSite(
  opened: AsyncDisposableStack,
  workshop: Workshop,
  accounts: number,
  records: number,
): Promise<Site> {
  const name = `${figure(accounts)} accounts` + (records > 0 ? `, ${figure(records)} journal records` : '')
  workshop.say(`making ${name}`)
  const directory = opened.use(await openBenchDirectory(accounts))
  const instance = opened.use(await createBenchInstance(workshop, 'flat', directory.slapd, KEEP_ALL))
  if (records > 0) await writeJournal(instance.storeFile, records)
  const { pid } = await instance.serve()
  return { name, directory, instance, pid, cost: { processorUs: [], wallUs: [], bareUs: [] } }
}

/**
 * Fills the journal with records of the past, hash chain and all, in one transaction. Row by row through the store
 * would take minutes; the daemon checks the end of the chain when it starts.
 */
async function writeJournal(storeFile: string, count: number): Promise<void> {
  const willWrite = true
  const options = { file: storeFile, clock: systemClock, lockTtlMs: null, willWrite }
  await (await openStore(options))[Symbol.asyncDispose]()
  const db = new DatabaseSync(storeFile)
  try {
    const insert = db.prepare(
      'insert into journal (seq, at_ms, kind, subject, body, prev_hash, hash) values (?, ?, ?, ?, ?, ?, ?)',
    )
    let previous = GENESIS_HASH
    db.exec('begin')
    for (let seq = 1; seq <= count; seq++) {
      const record = { ...pastRecord(seq), seq, prev_hash: previous }
      const hash = recordHash(record)
      insert.run(seq, record.at_ms, record.kind, record.subject, record.body, previous, hash)
      previous = hash
    }
    db.prepare("insert into meta (key, value) values ('journal-head', ?)").run(`${count} ${previous}`)
    db.exec('commit')
  } finally {
    db.close()
  }
}

function pastRecord(index: number): { at_ms: number; kind: string; subject: string; body: string } {
  const account = `00000000-0000-4000-8000-${String(index % PAST_ACCOUNTS).padStart(12, '0')}`
  const body = { kind: 'lock', holds: [serialOf(index % PAST_ACCOUNTS)], reason: 'as long as such a reason usually is' }
  return { at_ms: Date.now(), kind: 'applied', subject: `corp/${account}`, body: JSON.stringify(body) }
}

/** Lockstep locks and unlocks the first accounts, the bare loop writes to others. The first round only warms up. */
async function runRound(site: Site, accounts: number, counts: boolean): Promise<void> {
  for (const kind of ['lock', 'unlock'] as const) {
    const before = await processorMs(site.pid)
    const times = await driveLockstep(site.instance, site.directory, kind, 1, accounts)
    await site.instance.cli('drain', '--timeout', '30s')
    if (!counts) continue
    site.cost.processorUs.push((((await processorMs(site.pid)) - before) * 1000) / accounts)
    site.cost.wallUs.push(1_000_000 / rateOf(times))
  }
  const range = { from: accounts + 1, count: accounts, warmUp: Math.floor(accounts / 10) }
  const bare = await rateOfBareLoop(site.directory, { ...range, find: true })
  if (counts) site.cost.bareUs.push(1_000_000 / bare)
}

function lastCost(site: Site): string {
  return `${figure(site.cost.processorUs.at(-1) ?? 0)} us`
}

interface Medians {
  readonly processorUs: number
  readonly wallUs: number
  readonly bareUs: number
}

function mediansOf({ cost }: Site): Medians {
  return { processorUs: median(cost.processorUs), wallUs: median(cost.wallUs), bareUs: median(cost.bareUs) }
}

function reportOf(sites: readonly Site[], rounds: number, events: number): Report {
  const [first, ...others] = sites
  if (first === undefined) throw new Error('no site was measured')
  const base = mediansOf(first)
  const rows = others.flatMap((site): Row[] => {
    const here = mediansOf(site)
    const processor = here.processorUs / base.processorUs
    const time = here.wallUs / here.bareUs / (base.wallUs / base.bareUs)
    return [
      {
        name: `processor per event, ${site.name}`,
        measured: `${figure(here.processorUs)} us`,
        baseline: `${figure(base.processorUs)} us (${first.name})`,
        ratio: `${figure(processor)} x`,
        bar: `<= ${GROWTH_MAX} x`,
        pass: processor <= GROWTH_MAX,
      },
      {
        name: `time per event, ${site.name}`,
        measured: `${figure(here.wallUs)} us, bare ${figure(here.bareUs)}`,
        baseline: `${figure(base.wallUs)} us, bare ${figure(base.bareUs)}`,
        ratio: `${figure(time)} x`,
        bar: `<= ${GROWTH_MAX} x beside bare`,
        pass: time <= GROWTH_MAX,
      },
    ]
  })
  const note =
    `Cost per event: ${events} locks and ${events} unlocks in each of ${rounds} rounds, the sizes in turns. Processor time is ` +
    "the daemon's (all threads, from /proc). A slapd with more accounts is itself slower, so that time is set against that " +
    'of the bare loop on the same slapd.'
  return { rows, notes: [note] }
}
