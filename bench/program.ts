import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { LOCKSTEP, type Instance } from '../demo/instance.ts'
import { openBenchDirectory } from './bench-directory.ts'
import { createBenchInstance } from './bench-instance.ts'
import { driveLockstep } from './load.ts'
import { processorMs, residentMiB } from './process-cost.ts'
import { INFORMATION, type Report } from './report.ts'
import type { Scale, Workshop } from './scale.ts'
import { figure, median } from './statistics.ts'
import { timeInTurns } from './time-in-turns.ts'

const STATUS_RATIO_MAX = 4
const READY_MS_MAX = 500
const IDLE_MIB_MAX = 90
const ACCOUNTS = 200

/** The program as a person and a service manager meet it: a command, a start, a process that waits. */
export async function measureProgram(scale: Scale, workshop: Workshop): Promise<Report> {
  const { runs, starts, idleMs } = scale.program
  await using directory = await openBenchDirectory(ACCOUNTS)
  await using instance = await createBenchInstance(workshop, 'program', directory.slapd)
  await instance.serve()
  await driveLockstep(instance, directory, 'lock', 1, ACCOUNTS)
  workshop.say(`lockstep status: ${runs} runs, in turns with node -e 0`)
  const status = [LOCKSTEP, 'status', '--config', instance.configFile]
  const [statusMs, nodeMs] = await timeInTurns(runs, status, [process.execPath, '-e', '0'])
  workshop.say(`${starts} starts of the daemon`)
  const readyMs: number[] = []
  for (let start = 0; start < starts; start++) readyMs.push(await timeStart(instance))
  await instance.stop()
  const { pid } = await instance.serve()
  workshop.say(`an idle daemon, for ${idleMs / 1000} s`)
  const processorBefore = await processorMs(pid)
  await pause(idleMs)
  const idleMiB = await residentMiB(pid)
  const busyShare = ((await processorMs(pid)) - processorBefore) / idleMs
  const ratio = median(statusMs) / median(nodeMs)
  return {
    rows: [
      {
        name: 'lockstep status, against node -e 0',
        measured: `${figure(median(statusMs))} ms`,
        baseline: `${figure(median(nodeMs))} ms`,
        ratio: `${figure(ratio)} x`,
        bar: `<= ${STATUS_RATIO_MAX} x`,
        pass: ratio <= STATUS_RATIO_MAX,
      },
      {
        ...INFORMATION,
        name: 'lockstep serve, until it is ready',
        measured: `${figure(median(readyMs))} ms`,
        bar: `<= ${READY_MS_MAX} ms`,
        pass: median(readyMs) <= READY_MS_MAX,
      },
      {
        ...INFORMATION,
        name: 'idle daemon, resident memory',
        measured: `${figure(idleMiB)} MiB`,
        bar: `<= ${IDLE_MIB_MAX} MiB`,
        pass: idleMiB <= IDLE_MIB_MAX,
      },
      { ...INFORMATION, name: 'idle daemon, processor', measured: `${figure(busyShare * 100)} % of one core` },
    ],
    notes: [
      `The daemon has ${ACCOUNTS} locked accounts on record. Ready: from before the start of bin/lockstep to the moment at ` +
        `which the daemon writes that it is ready (what healthcheck and systemd are told), median of ${starts} starts.`,
    ],
  }
}

/** Milliseconds from the start of the program to the time that the daemon itself notes when it is ready. */
async function timeStart(instance: Instance): Promise<number> {
  await instance.stop()
  const startedAtMs = Date.now()
  await instance.serve()
  const db = new DatabaseSync(instance.storeFile, { readOnly: true })
  try {
    const row = db.prepare("select value from meta where key = 'daemon'").get()
    const { readyMs } = JSON.parse(String(row?.['value'])) as { readonly readyMs: number }
    return readyMs - startedAtMs
  } finally {
    db.close()
  }
}
