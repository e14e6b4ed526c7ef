import { createBaseline } from './baseline.ts'
import { openBenchDirectory, rateOf } from './bench-directory.ts'
import { createBenchInstance } from './bench-instance.ts'
import { driveLockstep, rateOfBareLoop, rateOfScripts } from './load.ts'
import { residentMiB } from './process-cost.ts'
import type { Report, Row } from './report.ts'
import type { Scale, Workshop } from './scale.ts'
import { checkSpoolFormat } from './spool-writer.ts'
import { figure, median } from './statistics.ts'

/** At least so many times the scripts' rate, and so large a share of the bare loop's. */
const SCRIPTS_RATIO_MIN = 20
const BARE_SHARE_MIN = 0.65

interface Rates {
  readonly lockstep: number[]
  readonly scripts: number[]
  readonly bare: number[]
  readonly modifyOnly: number[]
  readonly residentMiB: number
}

/** How many locks a second reach the directory while more events wait than can be done. */
export async function measureThroughput(scale: Scale, workshop: Workshop): Promise<Report> {
  const { rounds, locks, warmUp, scriptLocks } = scale.throughput
  const perRound = scriptLocks + locks + 2 * (locks + warmUp)
  await using directory = await openBenchDirectory(warmUp + rounds * perRound)
  await using instance = await createBenchInstance(workshop, 'throughput', directory.slapd)
  const baseline = await createBaseline(await workshop.folder('throughput-scripts'), directory.slapd)
  await checkSpoolFormat(instance)
  const { pid } = await instance.serve()
  let next = 1
  const take = (count: number): number => (next += count) - count
  await driveLockstep(instance, directory, 'lock', take(warmUp), warmUp)
  const rates = { lockstep: [] as number[], scripts: [] as number[], bare: [] as number[], modifyOnly: [] as number[] }
  for (let round = 1; round <= rounds; round++) {
    rates.scripts.push(await rateOfScripts(baseline, directory, take(scriptLocks), scriptLocks))
    rates.lockstep.push(rateOf(await driveLockstep(instance, directory, 'lock', take(locks), locks)))
    const count = locks + warmUp
    rates.bare.push(await rateOfBareLoop(directory, { from: take(count), count, warmUp, find: true }))
    rates.modifyOnly.push(await rateOfBareLoop(directory, { from: take(count), count, warmUp, find: false }))
    workshop.say(
      `throughput ${round}/${rounds}: lockstep ${last(rates.lockstep)}, scripts ${last(rates.scripts)}, ` +
        `bare loop ${last(rates.bare)}, modify only ${last(rates.modifyOnly)} locks/s`,
    )
  }
  return reportOf({ ...rates, residentMiB: await residentMiB(pid) })
}

function last(values: readonly number[]): string {
  return figure(values.at(-1) ?? 0)
}

function reportOf(rates: Rates): Report {
  const lockstep = median(rates.lockstep)
  const compare = (name: string, other: readonly number[], bar: number | null, text: string): Row => {
    const ratio = lockstep / median(other)
    return {
      name,
      measured: `${figure(lockstep)} locks/s`,
      baseline: `${figure(median(other))} locks/s`,
      ratio: ratio >= 2 ? `${figure(ratio)} x` : `${Math.round(ratio * 100)} %`,
      bar: text,
      pass: bar === null ? null : ratio >= bar,
    }
  }
  const best = lockstep / Math.max(...rates.bare)
  return {
    rows: [
      compare('lock rate, against the scripts', rates.scripts, SCRIPTS_RATIO_MIN, `>= ${SCRIPTS_RATIO_MIN} x`),
      compare('lock rate, against a bare find-and-modify loop', rates.bare, BARE_SHARE_MIN, '>= 65 %'),
      compare('lock rate, against the modify-only limit', rates.modifyOnly, null, ''),
    ],
    notes: [
      'Lock rate: every event is in the spool when the clock starts; from the first to the last lock by the time that ' +
        "slapd gave each (entryCSN). Lockstep's events, ledger rows, LDIF files and outcomes are durable. Median of " +
        `${rates.lockstep.length} rounds, taken in turns; against the best bare round it is ${Math.round(best * 100)} %.`,
      `The daemon held ${figure(rates.residentMiB)} MiB resident right after this load.`,
    ],
  }
}
