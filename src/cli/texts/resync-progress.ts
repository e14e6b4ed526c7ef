import type { ResyncStep } from '../../reconcile/source/resync-ports.ts'
import type { CliIo } from '../terminal/io.ts'
import { note, progress, type Progress } from '../terminal/output.ts'

/** On a terminal a line that is overwritten; else a plain line at intervals, for logs. Both on stderr. */

const REDRAW_MS = 100
const LINE_MS = 10_000

/** @param nowMs a monotonic clock */
export function resyncProgress(io: CliIo, nowMs: () => number): { step(step: ResyncStep): void } & Disposable {
  const line: Progress = progress(io)
  const everyMs = io.stderr.isTTY ? REDRAW_MS : LINE_MS
  let phase = ''
  let startedMs = nowMs()
  let shownMs = startedMs
  return {
    step: (step) => {
      const now = nowMs()
      const name = `${step.phase} ${step.directory ?? ''}`
      if (name !== phase) startedMs = phase === '' ? startedMs : now
      phase = name
      if (now - shownMs < everyMs) return
      shownMs = now
      const text = paceText(step, now - startedMs)
      if (io.stderr.isTTY) line.step(text)
      else note(io, text)
    },
    [Symbol.dispose]: () => line[Symbol.dispose](),
  }
}

/** `4500 of 10000 tokens, 900/s, 7 s left`. */
export function paceText({ phase, directory, done, inAll }: ResyncStep, elapsedMs: number): string {
  const what = phase === 'tokens' ? 'tokens' : `marked accounts of ${directory ?? ''}`
  const perSecond = elapsedMs > 0 ? (done * 1000) / elapsedMs : 0
  const rate = perSecond >= 10 ? Math.round(perSecond) : Math.round(perSecond * 10) / 10
  if (perSecond === 0) return `${done} of ${inAll} ${what}`
  return `${done} of ${inAll} ${what}, ${rate}/s, ${leftText(Math.max(0, inAll - done) / perSecond)} left`
}

function leftText(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`
  const minutes = Math.ceil(seconds / 60)
  return minutes < 100 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`
}
