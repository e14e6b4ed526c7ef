import type { Pause } from '../../core/guards/guard.ts'
import type { StatusReport } from '../../operations/status/status.ts'

/** `lockstep status --json`: each reason of health with its sentence. */
export function statusJson({ healthReasons: sentences, healthCodes, pauses, paused, ...status }: StatusReport): object {
  return {
    ...status,
    healthReasons: healthCodes.map((reason, index) => ({ ...reason, text: sentences[index] ?? '' })),
    paused: paused === null ? null : pauseJson(paused),
    pauses: pauses.map(pauseJson),
  }
}

/** Its reason is the person's text. */
export function pauseJson({ reason: comment, ...pause }: Pause): object {
  return { ...pause, comment }
}
