import type { FilledHandler } from '../../core/source/recipe.ts'
import type { Client } from '../http/client.ts'
import { isFields } from '../http/envelope.ts'
import { unexpected } from '../http/fields.ts'

/**
 * What a privacyIDEA offers for event handlers (`/event/available`, `/event/actions/MODULE`,
 * `/event/conditions/MODULE`, right `eventhandling_read`). privacyIDEA itself accepts any event and condition without
 * an error (3.11 to 3.14). A handler with a typing mistake would never run, so it is compared before.
 */
export interface EventOffers {
  readonly events: ReadonlySet<string>
  readonly modules: ReadonlyMap<string, ModuleOffer>
}

interface ModuleOffer {
  readonly actions: ReadonlyMap<string, ActionOffer>
  readonly conditions: ReadonlySet<string>
}

interface ActionOffer {
  /** Allowed values of an option; null: any. */
  readonly options: ReadonlyMap<string, readonly string[] | null>
  readonly required: readonly string[]
}

/** Options that an administrator writes once for all handlers: reported with the place to make them. */
const WHERE: Readonly<Record<string, string>> = {
  emailconfig: 'make it under Config, SMTP servers (POST /smtpserver/NAME)',
  smtp_identifier: 'make it under Config, SMTP servers (POST /smtpserver/NAME)',
}
const SHOWN_MAX = 12

export async function readOffers(client: Client, modules: Iterable<string>): Promise<EventOffers> {
  const { value } = await client.call({ method: 'GET', path: '/event/available' })
  if (!Array.isArray(value)) throw unexpected(client.where('GET', '/event/available'), 'a list was expected')
  const known = new Set(await knownModules(client))
  const found = new Map<string, ModuleOffer>()
  for (const module of new Set(modules)) {
    if (known.has(module)) found.set(module, await readModule(client, module))
  }
  return { events: new Set(value.map(String)), modules: found }
}

async function knownModules(client: Client): Promise<readonly string[]> {
  const { value } = await client.call({ method: 'GET', path: '/event/handlermodules' })
  return Array.isArray(value) ? value.map(String) : []
}

async function readModule(client: Client, module: string): Promise<ModuleOffer> {
  const actions = await client.call({ method: 'GET', path: `/event/actions/${encodeURIComponent(module)}` })
  const conditions = await client.call({ method: 'GET', path: `/event/conditions/${encodeURIComponent(module)}` })
  const offers = Object.entries(isFields(actions.value) ? actions.value : {})
  return {
    actions: new Map(offers.map(([name, options]) => [name, actionOf(options)])),
    conditions: new Set(Object.keys(isFields(conditions.value) ? conditions.value : {})),
  }
}

function actionOf(value: unknown): ActionOffer {
  const entries = Object.entries(isFields(value) ? value : {})
  const options = entries.map(([name, option]) => {
    const allowed = isFields(option) ? option['value'] : undefined
    return [name, Array.isArray(allowed) ? allowed.map(String) : null] as const
  })
  // "To email" is required only where To is email, so on its own it proves nothing.
  const required = entries.filter(
    ([, option]) => isFields(option) && option['required'] === true && option['visibleIf'] === undefined,
  )
  return { options: new Map(options), required: required.map(([name]) => name) }
}

/** What of these handlers this privacyIDEA does not offer, ready to show; without secrets. */
export function unknownIn(handlers: readonly FilledHandler[], offers: EventOffers): readonly string[] {
  return handlers.flatMap((handler) => problemsOf(handler, offers).map((problem) => `${handler.name}: ${problem}`))
}

function problemsOf(handler: FilledHandler, { events, modules }: EventOffers): string[] {
  const found = handler.events.filter((event) => !events.has(event)).map((event) => `there is no event ${event}`)
  const module = modules.get(handler.module)
  if (module === undefined) return [...found, `there is no handler module ${handler.module}`]
  for (const name of Object.keys(handler.conditions)) {
    if (!module.conditions.has(name)) found.push(`there is no condition ${name}`)
  }
  const action = module.actions.get(handler.action)
  if (action === undefined) {
    const hint = handler.module === 'Script' ? '; install the shims first (lockstep shims install DIR)' : ''
    return [...found, `the module ${handler.module} has no action ${handler.action}${hint}`]
  }
  for (const [name, value] of Object.entries(handler.options)) {
    const allowed = action.options.get(name)
    if (allowed === undefined) found.push(`the action ${handler.action} has no option ${name}`)
    else if (allowed !== null && !allowed.includes(value)) found.push(notAllowed(name, value, allowed))
  }
  const missing = action.required.filter((name) => !Object.hasOwn(handler.options, name))
  return [...found, ...missing.map((name) => `the action ${handler.action} needs the option ${name}`)]
}

function notAllowed(name: string, value: string, allowed: readonly string[]): string {
  const more = allowed.length > SHOWN_MAX ? ', …' : ''
  const known = allowed.length === 0 ? 'none is there' : `there are ${allowed.slice(0, SHOWN_MAX).join(', ')}${more}`
  const where = Object.hasOwn(WHERE, name) ? `: ${WHERE[name] ?? ''}` : ''
  return `${name} ${value} is not there; ${known}${where}`
}
