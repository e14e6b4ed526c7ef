import { eventWords } from './accounts.ts'
import { createBaseline } from './baseline.ts'
import { openBenchDirectory } from './bench-directory.ts'
import { createBenchInstance } from './bench-instance.ts'
import { timeInTurns } from './time-in-turns.ts'
import type { Report } from './report.ts'
import type { Scale, Workshop } from './scale.ts'
import { figure, median, percentile } from './statistics.ts'

const SHIM_MS_MAX = 5
const SCRIPT_SHARE_MAX = 0.25

/** How long privacyIDEA waits for the shim, and how long it would wait for the script. */
export async function measureShim(scale: Scale, workshop: Workshop): Promise<Report> {
  await using directory = await openBenchDirectory(10)
  await using instance = await createBenchInstance(workshop, 'shim', directory.slapd)
  const baseline = await createBaseline(await workshop.folder('shim-scripts'), directory.slapd)
  workshop.say(`the shim: ${scale.shim.runs} runs, in turns with the script`)
  const words = eventWords(1)
  const runs = scale.shim.runs
  const shimWords = [instance.shimOf('lock'), ...words]
  const [shim, script] = await timeInTurns(runs, shimWords, [baseline.scriptOf('lock'), ...words], baseline.env)
  const shimMs = median(shim)
  const scriptMs = median(script)
  return {
    rows: [
      {
        name: 'the shim',
        measured: `${figure(shimMs)} ms`,
        baseline: `${figure(scriptMs)} ms`,
        ratio: `${Math.round((shimMs / scriptMs) * 100)} %`,
        bar: `<= ${SHIM_MS_MAX} ms, <= 25 % of the script`,
        pass: shimMs <= SHIM_MS_MAX && shimMs <= SCRIPT_SHARE_MAX * scriptMs,
      },
    ],
    notes: [
      `The shim: median wall time of ${runs} runs with the event on disk at the end, each started by one fork and exec of ` +
        `a shell, in turns with the script (p90 ${figure(percentile(shim, 0.9))} ms).`,
    ],
  }
}
