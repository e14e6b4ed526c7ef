import { setTimeout as pause } from 'node:timers/promises'
import { eventWords, loginOf } from './accounts.ts'
import { createBaseline } from './baseline.ts'
import { openBenchDirectory } from './bench-directory.ts'
import { createBenchInstance } from './bench-instance.ts'
import { startLauncher } from './launcher.ts'
import { WATCHABLE, watchLocks } from './lock-watcher.ts'
import { INFORMATION, type Report, type Row } from './report.ts'
import type { Scale, Workshop } from './scale.ts'
import { figure, median, percentile } from './statistics.ts'

/** At most such a share of the scripts' time at p50, and p99 at most so many times p50. */
const SCRIPTS_SHARE_MAX = 0.25
const TAIL_RATIO_MAX = 3
/** The daemon is idle again when the next event comes, as it is in real life. */
const BETWEEN_EVENTS_MS = 20

/** One event at a time through the real shim, until its lock is in the directory. */
export async function measureLatency(scale: Scale, workshop: Workshop): Promise<Report> {
  const { events, scriptEvents } = scale.latency
  const every = Math.floor(events / scriptEvents)
  const warmUp = Math.ceil(events / 10)
  const accounts = warmUp + events + scriptEvents
  await using directory = await openBenchDirectory(accounts, WATCHABLE)
  await using instance = await createBenchInstance(workshop, 'latency', directory.slapd)
  const baseline = await createBaseline(await workshop.folder('latency-scripts'), directory.slapd)
  await instance.serve()
  await using watcher = await watchLocks(directory.slapd)
  await using launcher = startLauncher(baseline.env)
  let next = 1
  const timeOne = async (program: string): Promise<{ tookMs: number; writtenMs: number }> => {
    const index = next++
    await pause(BETWEEN_EVENTS_MS)
    const seen = watcher.nextLock(loginOf(index))
    const [seenAtMs, startedAtMs] = await Promise.all([seen, launcher.run([program, ...eventWords(index)])])
    const [writtenAtMs = Number.NaN] = (await directory.changeTimes(index, 1, 'locked')) ?? []
    return { tookMs: seenAtMs - startedAtMs, writtenMs: writtenAtMs - startedAtMs }
  }
  const shim = instance.shimOf('lock')
  for (let done = 0; done < warmUp; done++) await timeOne(shim)
  workshop.say(`latency: ${events} events, ${scriptEvents} runs of the script in between`)
  const times: Times = { ours: [], scripts: [], written: [] }
  for (let done = 1; done <= events; done++) {
    const { tookMs, writtenMs } = await timeOne(shim)
    times.ours.push(tookMs)
    times.written.push(writtenMs)
    if (done % every === 0) times.scripts.push((await timeOne(baseline.scriptOf('lock'))).tookMs)
  }
  return reportOf(times)
}

/** In milliseconds. `written`: by slapd's own time of the change, for comparison. */
interface Times {
  readonly ours: number[]
  readonly scripts: number[]
  readonly written: number[]
}

function reportOf({ ours, scripts, written }: Times): Report {
  const p50 = median(ours)
  const p99 = percentile(ours, 0.99)
  const script = median(scripts)
  const rows: Row[] = [
    {
      name: 'event to locked, p50',
      measured: `${figure(p50)} ms`,
      baseline: `${figure(script)} ms`,
      ratio: `${Math.round((p50 / script) * 100)} %`,
      bar: '<= 25 % of the script',
      pass: p50 <= SCRIPTS_SHARE_MAX * script,
    },
    { ...INFORMATION, name: 'event to locked, p90', measured: `${figure(percentile(ours, 0.9))} ms` },
    {
      name: 'event to locked, p99',
      measured: `${figure(p99)} ms`,
      baseline: `${figure(p50)} ms (p50)`,
      ratio: `${figure(p99 / p50)} x`,
      bar: `<= ${TAIL_RATIO_MAX} x p50`,
      pass: p99 <= TAIL_RATIO_MAX * p50,
    },
  ]
  return {
    rows,
    notes: [
      `Event to locked: ${ours.length} events, one at a time, from before the shim is started to slapd's telling that the ` +
        'lock is committed (content synchronisation, so that nothing polls); the script is timed in the same way, ' +
        `between them. By slapd's own time of the change p50 is ${figure(median(written))} ms.`,
    ],
  }
}
