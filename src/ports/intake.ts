import type { Event } from '../core/events/event.ts'

/** An input that is no event: kept on record with its reason. */
export interface Refused {
  readonly id: string
  readonly source: 'shim' | 'webhook'
  readonly takenAtUs: number
  /** What is wrong, naming the field; never the raw input. */
  readonly reason: string
}

/** Where the intakes hand over their events. Returns once it is durable; the same id twice is taken once. */
export interface IntakePort {
  take(events: readonly Event[], refused: readonly Refused[]): Promise<void>
}
