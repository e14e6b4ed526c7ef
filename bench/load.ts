import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Instance } from '../demo/instance.ts'
import { runToolOk } from '../test/servers/run-tool.ts'
import type { BareLoopJob, BareLoopResult } from './bare-loop.ts'
import { rateOf, type BenchDirectory } from './bench-directory.ts'
import type { Baseline } from './baseline.ts'
import { fillSpool } from './spool-writer.ts'

const BARE_LOOP = fileURLToPath(new URL('bare-loop.ts', import.meta.url))
/** Lockstep's defaults: two connections, sixteen operations in flight on each. */
const CONNECTIONS = 2
const IN_FLIGHT = 32
const DONE_WITHIN_MS = 120_000
const LOOK_EVERY_MS = 25

/**
 * Puts events for `count` accounts into the spool at once and waits until all are in the directory.
 * @returns the times at which slapd wrote them
 */
export async function driveLockstep(
  instance: Instance,
  directory: BenchDirectory,
  kind: 'lock' | 'unlock',
  from: number,
  count: number,
): Promise<readonly number[]> {
  await fillSpool(instance, kind, from, count)
  const deadline = performance.now() + DONE_WITHIN_MS
  while (performance.now() < deadline) {
    await pause(LOOK_EVERY_MS)
    if ((await readdir(join(instance.spoolDir, 'new'))).length > 0) continue
    const times = await directory.changeTimes(from, count, kind === 'lock' ? 'locked' : 'open')
    if (times !== null) return times
  }
  throw new Error(`${count} ${kind} events were not all in the directory within ${DONE_WITHIN_MS / 1000} s`)
}

/** @returns locks a second, one script after the other */
export async function rateOfScripts(
  baseline: Baseline,
  directory: BenchDirectory,
  from: number,
  count: number,
): Promise<number> {
  for (let index = from; index < from + count; index++) await baseline.run('lock', index)
  const times = await directory.changeTimes(from, count, 'locked')
  if (times === null) throw new Error('the scripts did not lock every account')
  return rateOf(times)
}

/** @returns locks a second of a bare ldapts loop in a process of its own */
export async function rateOfBareLoop(
  directory: BenchDirectory,
  range: { readonly from: number; readonly count: number; readonly warmUp: number; readonly find: boolean },
): Promise<number> {
  const { url, serviceDn, servicePassword, peopleDn } = directory.slapd
  const job: BareLoopJob = {
    url,
    bindDn: serviceDn,
    base: peopleDn,
    connections: CONNECTIONS,
    inFlight: IN_FLIGHT,
    ...range,
  }
  const env = { LDAP_PASSWORD: servicePassword }
  const { stdout } = await runToolOk(process.execPath, [BARE_LOOP, JSON.stringify(job)], { env })
  const result = JSON.parse(stdout) as BareLoopResult
  return (result.locks * 1000) / result.elapsedMs
}
