import { TOKEN_EVENT_KINDS, type TokenEventKind } from '../../core/events/event.ts'

/**
 * The event handlers of privacyIDEA that bring events to Lockstep: the wanted ones, and the changes. Pure. They are
 * identified by their names, which others have no reason to use; privacyIDEA itself does not keep names unique.
 *
 * | existing | wanted | change |
 * | --- | --- | --- |
 * | nothing | it | create |
 * | equal | it | same |
 * | another event, position, condition or option value, off | it | update |
 * | an option too many | it | replace: created anew, then the old one is deleted |
 * | a second one of the same name | it | remove the second |
 * | one of ours | nothing | remove |
 * | one of others | anything | never touched |
 *
 * "Replace", because up to 3.13 an option that an update leaves out stays (measured on 3.12.3).
 */
export interface Binding {
  readonly name: string
  readonly events: readonly string[]
  readonly module: string
  readonly action: string
  readonly position: string
  readonly ordering: number
  readonly isActive: boolean
  readonly conditions: Readonly<Record<string, string>>
  readonly options: Readonly<Record<string, string>>
}

export interface ExistingBinding extends Binding {
  readonly id: number
}

/** One difference, ready to show: without secrets. */
export interface Difference {
  readonly what: string
  readonly stands: string
  readonly wanted: string
}

export type BindingChange =
  | { readonly kind: 'create'; readonly wanted: Binding }
  | { readonly kind: 'same'; readonly id: number; readonly wanted: Binding }
  | {
      readonly kind: 'update' | 'replace'
      readonly id: number
      readonly wanted: Binding
      readonly differences: readonly Difference[]
    }
  | {
      readonly kind: 'remove'
      readonly id: number
      readonly standing: ExistingBinding
      readonly why: 'doubled' | 'not-wanted'
    }

/** How events arrive: by the shims in the script directory, or by the webhook. */
export type BindingTarget =
  | { readonly via: 'script' }
  | {
      readonly via: 'webhook'
      /** Everything before `/<kind>`, including the secret. */
      readonly hookUrl: string
      /** One of those that the version offers: see contentTypeOf. */
      readonly contentType: string
    }

interface Occasion {
  readonly name: string
  readonly kind: TokenEventKind
  readonly events: readonly string[]
  readonly conditions: Readonly<Record<string, string>>
}

const PREFIX = 'lockstep: '

/** Measured on 3.11 to 3.14; all at position post. A handler has one set of conditions, so unlock takes two. */
const OCCASIONS: readonly Occasion[] = [
  { name: 'register', kind: 'register', events: ['token_init', 'token_assign'], conditions: {} },
  { name: 'lock', kind: 'lock', events: ['validate_check'], conditions: { token_locked: 'True' } },
  { name: 'unlock', kind: 'unlock', events: ['token_reset', 'token_set'], conditions: { token_locked: 'False' } },
  { name: 'unlock after success', kind: 'unlock', events: ['validate_check'], conditions: { result_value: 'True' } },
  { name: 'unregister', kind: 'unregister', events: ['token_unassign', 'token_delete'], conditions: {} },
]

const OUR_NAMES: ReadonlySet<string> = new Set(OCCASIONS.map((occasion) => PREFIX + occasion.name))
const SCRIPT_ARGUMENTS = ['serial', 'user', 'realm', 'logged_in_user', 'logged_in_role']
/** The only body that every version fills in correctly; `{logged_in_user}` is the target user there. */
const PORTABLE_BODY = 'user={logged_in_user}&realm={realm}&serial={token_serial}'
const HOOK_PATH = '/hooks/privacyidea/'

export const SHIM_NAMES: readonly string[] = TOKEN_EVENT_KINDS.map((kind) => `lockstep-${kind}`)

export function isOurs(name: string): boolean {
  return OUR_NAMES.has(name)
}

export function wantedBindings(target: BindingTarget): readonly Binding[] {
  return OCCASIONS.map(({ name, kind, events, conditions }) => ({
    name: PREFIX + name,
    events,
    module: target.via === 'script' ? 'Script' : 'WebHook',
    action: target.via === 'script' ? `lockstep-${kind}` : 'post_webhook',
    position: 'post',
    ordering: 0,
    isActive: true,
    conditions,
    options: target.via === 'script' ? scriptOptions() : hookOptions(target, kind),
  }))
}

function scriptOptions(): Readonly<Record<string, string>> {
  return { background: 'background', ...Object.fromEntries(SCRIPT_ARGUMENTS.map((name) => [name, '1'])) }
}

function hookOptions(
  target: Extract<BindingTarget, { via: 'webhook' }>,
  kind: TokenEventKind,
): Readonly<Record<string, string>> {
  const { hookUrl, contentType } = target
  return { URL: `${hookUrl}/${kind}`, content_type: contentType, replace: 'True', data: PORTABLE_BODY }
}

/** A version's name for a url-encoded body, out of those that it offers; null: none that is known. */
export function contentTypeOf(offered: readonly string[]): string | null {
  const known = ['application/x-www-form-urlencoded', 'urlencoded', 'urlendcode']
  return known.find((name) => offered.includes(name)) ?? null
}

/**
 * Removals come last, so that there is no moment without a handler. An empty `wanted` removes only our own.
 * @param owns whether a handler is ours, by its name
 */
export function diffBindings(
  existing: readonly ExistingBinding[],
  wanted: readonly Binding[],
  owns: (name: string) => boolean = isOurs,
): readonly BindingChange[] {
  const ours = existing.filter((each) => owns(each.name)).toSorted((a, b) => a.id - b.id)
  const changes: BindingChange[] = []
  const kept = new Set<number>()
  for (const binding of wanted) {
    const first = ours.find((each) => each.name === binding.name)
    if (first !== undefined) kept.add(first.id)
    changes.push(first === undefined ? { kind: 'create', wanted: binding } : changeOf(first, binding))
  }
  const names = new Set(wanted.map((binding) => binding.name))
  for (const each of ours) {
    if (kept.has(each.id)) continue
    changes.push({ kind: 'remove', id: each.id, standing: each, why: names.has(each.name) ? 'doubled' : 'not-wanted' })
  }
  return changes
}

function changeOf(existing: ExistingBinding, wanted: Binding): BindingChange {
  const { id } = existing
  const differences = differencesOf(existing, wanted)
  if (differences.length === 0) return { kind: 'same', id, wanted }
  const hasTooMany = Object.keys(existing.options).some((name) => !Object.hasOwn(wanted.options, name))
  return { kind: hasTooMany ? 'replace' : 'update', id, wanted, differences }
}

function differencesOf(existing: Binding, wanted: Binding): readonly Difference[] {
  const found: Difference[] = []
  const compare = (what: string, stands: string, should: string): void => {
    if (stands !== should) found.push(differenceOf(what, stands, should))
  }
  type Values = Readonly<Record<string, string>>
  const compareValues = (what: string, stands: Values, should: Values): void => {
    const names = new Set([...Object.keys(stands), ...Object.keys(should)])
    for (const name of [...names].toSorted()) compare(`${what} ${name}`, valueIn(stands, name), valueIn(should, name))
  }
  compare('events', existing.events.toSorted().join(', '), wanted.events.toSorted().join(', '))
  compare('handler module', existing.module, wanted.module)
  compare('action', existing.action, wanted.action)
  compare('position', existing.position, wanted.position)
  compare('ordering', String(existing.ordering), String(wanted.ordering))
  compare('active', yesNo(existing.isActive), yesNo(wanted.isActive))
  compareValues('condition', existing.conditions, wanted.conditions)
  // With another kind of handler every option differs: its target is information enough.
  if (existing.module === wanted.module) compareValues('option', existing.options, wanted.options)
  else compare('option URL', valueIn(existing.options, 'URL'), valueIn(wanted.options, 'URL'))
  return found
}

function valueIn(values: Readonly<Record<string, string>>, name: string): string {
  return Object.hasOwn(values, name) ? `= ${values[name] ?? ''}` : ''
}

/** Texts that are equal once their secrets are hidden differ in the secret, and the message must state that. */
function differenceOf(what: string, stands: string, wanted: string): Difference {
  const shown = (text: string): string => (text === '' ? 'not set' : hideSecrets(text.replace(/^= /, '')))
  const isSecretAlone = shown(stands) === shown(wanted)
  return { what, stands: shown(stands), wanted: isSecretAlone ? `${shown(wanted)} (another secret)` : shown(wanted) }
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no'
}

/** A URL may have a secret in its path, its user part or its query: each possible secret is shown as `…`. */
export function hideSecrets(text: string): string {
  return text.replace(
    /\b(https?:\/\/)([^\s/?#]*)([^\s]*)/gi,
    (_all, scheme: string, authority: string, rest: string) => {
      const host = authority.slice(authority.lastIndexOf('@') + 1)
      const kind = TOKEN_EVENT_KINDS.find((each) => rest.endsWith(`/${each}`))
      const path = rest.includes(HOOK_PATH)
        ? `${HOOK_PATH}…${kind === undefined ? '' : `/${kind}`}`
        : rest === '' || rest === '/'
          ? rest
          : '/…'
      return `${scheme}${host === authority ? '' : '…@'}${host}${path}`
    },
  )
}

/** The body of `POST /event`. Always the whole binding: a field that is left out falls back, differently by version. */
export function requestOf(binding: Binding, id: number | null): Readonly<Record<string, unknown>> {
  const options = Object.entries(binding.options).map(([name, value]) => [`option.${name}`, value] as const)
  return {
    ...(id === null ? {} : { id }),
    name: binding.name,
    event: binding.events.join(','),
    handlermodule: binding.module,
    action: binding.action,
    position: binding.position,
    ordering: binding.ordering,
    active: binding.isActive,
    conditions: binding.conditions,
    ...Object.fromEntries(options),
  }
}

/** For people: the same, with the secrets hidden. */
export function shownRequestOf(binding: Binding): Readonly<Record<string, unknown>> {
  const options = Object.entries(binding.options).map(([name, value]) => [name, hideSecrets(value)] as const)
  return requestOf({ ...binding, options: Object.fromEntries(options) }, null)
}

/** Handlers of others that also bring events to us: not touched, but reported, since each event comes twice. */
export function alsoOurs(existing: readonly ExistingBinding[]): readonly ExistingBinding[] {
  return existing.filter(
    (each) =>
      !isOurs(each.name) &&
      each.isActive &&
      (SHIM_NAMES.includes(each.action) || Object.values(each.options).some((value) => value.includes(HOOK_PATH))),
  )
}
