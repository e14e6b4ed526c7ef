import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { toAppError, type AppError } from '../core/error.ts'
import { TOKEN_EVENT_KINDS, type Event, type TokenEventKind } from '../core/events/event.ts'
import { nextTimeUs } from '../core/format/next-time.ts'
import { ByteBudget } from '../core/json-limit.ts'
import type { HttpSettings } from '../core/settings/settings.ts'
import type { Clock } from '../ports/clock.ts'
import type { IntakePort, Refused } from '../ports/intake.ts'
import { newAllowList, plainAddress } from './allow-list.ts'
import { failure, failureOf, NOT_FOUND, type Answer } from './answer.ts'
import { readBody } from './body.ts'
import type { HookSecret } from './hook-secret.ts'
import { newRateLimit } from './rate-limit.ts'

/**
 * `POST /hooks/privacyidea/<secret>/<kind>` and `GET /healthz`. privacyIDEA cannot sign what it sends, so the secret is
 * part of the path; neither the path nor the body ever goes into a log line or an answer.
 *
 * | answer | when |
 * | --- | --- |
 * | 202 `{"accepted":n}` | the events are durable; `refused` is there when some texts of a list were no serials |
 * | 400 | the body has nothing that could be an event (that is on record) |
 * | 404 | wrong secret, unknown path or kind, an address that may not call: always the same |
 * | 405, 413, 429 | wrong method, body too large, too many requests (those with the secret and those without are counted apart) |
 * | 503 | the store could not take it now, or too many bodies come at once; `/healthz`: not ready |
 */
const PREFIX = '/hooks/privacyidea/'
const HEALTH_PATH = '/healthz'
/** Of all bodies together that are not answered yet: 256 of the usual limit. */
const BODIES_BYTES_MAX = 16 * 1024 * 1024
/** Addresses that may read the health, besides those that may call. */
const LOOPBACK = newAllowList([])

/** Makes events of a body; see intake/webhook.ts. */
export type HookReader = (
  kind: TokenEventKind,
  contentType: string,
  body: Buffer,
  origin: { readonly id: string; readonly source: 'webhook'; readonly takenAtUs: number },
) => { readonly events: readonly Event[]; readonly refused: readonly Refused[] }

/** Why a request was refused. `rate-limited`: with the right secret, so that its event is lost. */
export type HookRefusal = 'wrong-secret' | 'refused-network' | 'wrong-path' | 'rate-limited'

export interface HookOptions {
  readonly settings: HttpSettings
  readonly intake: IntakePort
  readonly clock: Clock
  readonly readHook: HookReader
  readonly isReady: () => boolean
  readonly onError: (error: AppError) => void
  /** @param address of the caller */
  readonly onRefused?: (why: HookRefusal, address: string) => void
}

export type Handler = (request: IncomingMessage) => Promise<Answer>

/** @param onTrusted the request showed the right secret */
export function newHandler(
  options: HookOptions,
  secret: HookSecret,
  onTrusted: (request: IncomingMessage) => void,
): Handler {
  const { settings, clock, onRefused = () => undefined } = options
  const allowed = newAllowList(settings.allow)
  // Two budgets, since privacyIDEA may share its address with others: a reverse proxy has one address.
  const trusted = newRateLimit(settings.requestsPerSecondMax)
  const unknownCallers = newRateLimit(settings.requestsPerSecondMax)
  const nextTime = newTimes(clock)
  const bodies = new ByteBudget(BODIES_BYTES_MAX)

  return async (request) => {
    const address = plainAddress(request.socket.remoteAddress ?? '')
    const [path = ''] = (request.url ?? '').split('?', 1)
    const mayCall = allowed.allows(address)
    const refuse = (why: HookRefusal, answer: Answer = NOT_FOUND): Answer => {
      onRefused(why, address)
      return answer
    }
    if (path === HEALTH_PATH && (mayCall || LOOPBACK.allows(address))) return health(request, options.isReady())
    if (!mayCall) return refuse('refused-network')
    const target = targetOf(path)
    // Compared even when the path is wrong already, so that the time reveals nothing.
    const isSecret = secret.matches(target.secret)
    if (!isSecret) {
      const refused = unknownCallers.admit(address, clock.nowMs()) ? NOT_FOUND : tooMany()
      return refuse(path.startsWith(PREFIX) ? 'wrong-secret' : 'wrong-path', refused)
    }
    onTrusted(request)
    if (!trusted.admit('', clock.nowMs())) return refuse('rate-limited', tooMany())
    if (target.kind === null) return refuse('wrong-path')
    if (request.method !== 'POST') return failure(405, 'method-not-allowed', 'POST is expected.', { allow: 'POST' })
    const takenAtUs = nextTime()
    const body = await readBody(request, settings.bodyBytesMax, bodies)
    if (typeof body === 'string') return UNREAD[body](settings)
    try {
      return await takeHook(options, { kind: target.kind, body, takenAtUs }, request)
    } finally {
      bodies.give(body.length)
    }
  }
}

/** The secret is everything between the prefix and the last `/`, so it may contain one. */
function targetOf(path: string): { secret: string; kind: TokenEventKind | null } {
  if (!path.startsWith(PREFIX)) return { secret: '', kind: null }
  const slash = path.lastIndexOf('/')
  const kind = TOKEN_EVENT_KINDS.find((each) => each === path.slice(slash + 1)) ?? null
  return { secret: decode(path.slice(PREFIX.length, Math.max(slash, PREFIX.length))), kind }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function health(request: IncomingMessage, isReady: boolean): Answer {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return failure(405, 'method-not-allowed', 'GET is expected.', { allow: 'GET, HEAD' })
  }
  return isReady ? { status: 200, body: { status: 'ready' } } : { status: 503, body: { status: 'not-ready' } }
}

function tooMany(): Answer {
  return failure(429, 'rate-limited', 'Too many requests.', { 'retry-after': '1' })
}

/** Why there is no body. */
const UNREAD = {
  'too-large': ({ bodyBytesMax }: HttpSettings) =>
    failure(413, 'too-large', `The body may have at most ${bodyBytesMax} bytes.`),
  busy: () => failure(503, 'rate-limited', 'Too many bodies come at once.', { 'retry-after': '1' }),
  'cut-off': () => failure(408, 'cut-off', 'The body did not come to its end.'),
} as const

interface Hook {
  readonly kind: TokenEventKind
  readonly body: Buffer
  readonly takenAtUs: number
}

async function takeHook(
  { intake, readHook, onError }: HookOptions,
  { kind, body, takenAtUs }: Hook,
  request: IncomingMessage,
): Promise<Answer> {
  const origin = { id: `hook-${randomUUID()}`, source: 'webhook', takenAtUs } as const
  try {
    const { events, refused } = readHook(kind, request.headers['content-type'] ?? '', body, origin)
    await intake.take(events, refused)
    const [first] = refused
    if (events.length === 0 && first !== undefined)
      return { ...failure(400, 'event-invalid', first.reason), close: false }
    return { status: 202, body: { accepted: events.length, ...(first === undefined ? {} : { refused: first.reason }) } }
  } catch (thrown) {
    const error = toAppError(thrown)
    onError(error)
    return failureOf(error)
  }
}

/** Consecutive requests keep their order. */
function newTimes(clock: Clock): () => number {
  let lastUs = 0
  return () => (lastUs = nextTimeUs(lastUs, clock.nowMs() * 1000))
}
