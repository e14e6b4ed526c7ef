import { counted } from '../../../core/format/counted.ts'
import { toAppError } from '../../../core/error.ts'
import { TOKEN_EVENT_KINDS } from '../../../core/events/event.ts'
import type { Settings } from '../../../core/settings/settings.ts'
import type { SecretReader } from '../../../ports/secret.ts'
import {
  alsoOurs,
  contentTypeOf,
  diffBindings,
  isOurs,
  SHIM_NAMES,
  wantedBindings,
  type BindingChange,
  type ExistingBinding,
} from '../../../privacyidea/setup/bindings.ts'
import type { Client } from '../../../privacyidea/http/client.ts'
import { offeredContentTypes, offeredScripts, readHandlers } from '../../../privacyidea/setup/event-handlers.ts'
import { WHY_UNTRIED, type ShimsState } from './shims.ts'
import type { Findings } from '../findings.ts'
import { hookUrlOf } from '../../setup/hook-url.ts'

/** Whether the event handlers in privacyIDEA exist, are on, and are as `lockstep privacyidea setup` makes them. */

const WHY_NONE = 'Locks and unlocks come with the scan, and serials with the full resync only.'

interface BindingsLook {
  readonly readSecret: SecretReader
  /** Read as the running service, which needs no right to see them. */
  readonly isService: boolean
  /** The scripts that they may call. */
  readonly shims: ShimsState
}

/** For checks without the needed rights of the service's account. */
export const ASK_AN_ADMIN = 'lockstep doctor --privacyidea-admin NAME'

/** @returns how they call Lockstep; `unknown`: they may not be read */
export async function checkBindings(
  found: Findings,
  client: Client,
  settings: Settings,
  { readSecret, isService, shims }: BindingsLook,
): Promise<'script' | 'webhook' | 'none' | 'unknown'> {
  let existing: readonly ExistingBinding[]
  try {
    existing = await readHandlers(client)
  } catch (thrown) {
    if (!isService || toAppError(thrown).code !== 'source-not-permitted') throw thrown
    found.skip('bindings', {
      what: 'event handlers: not looked at, since the service may not see them',
      why: 'Whether events reach Lockstep is not known.',
      fix: ASK_AN_ADMIN,
    })
    return 'unknown'
  }
  const ours = existing.filter((each) => isOurs(each.name))
  const [first] = ours
  if (first === undefined) {
    found.warn('bindings', { what: 'no event handler of Lockstep', why: WHY_NONE, fix: 'lockstep privacyidea setup' })
  } else if (first.module === 'Script') await checkScripts({ found, client, standing: existing }, shims)
  else await checkHooks({ found, client, standing: existing }, settings, readSecret)
  for (const { id, name } of alsoOurs(existing)) {
    found.warn('bindings-doubled', {
      what: `the event handler "${name}" (${id}) calls Lockstep too`,
      why:
        ours.length === 0
          ? 'It was made by hand, and nothing compares it with what works.'
          : 'Each of its events comes twice.',
      fix: 'lockstep privacyidea setup, and delete it in privacyIDEA (Config, Events).',
    })
  }
  if (first === undefined) return 'none'
  return first.module === 'Script' ? 'script' : 'webhook'
}

interface BindingLook {
  readonly found: Findings
  readonly client: Client
  readonly standing: readonly ExistingBinding[]
}

async function checkScripts({ found, client, standing: existing }: BindingLook, shims: ShimsState): Promise<void> {
  const offered = await offeredScripts(client)
  const missing = SHIM_NAMES.filter((name) => !offered.includes(name))
  if (missing.length > 0) {
    found.fail('scripts', {
      what: `privacyIDEA does not find the scripts ${missing.join(', ')}`,
      why: 'Its event handlers call nothing, and it reports that in its own log only.',
      fix: "lockstep shims install DIR, on privacyIDEA's machine (DIR is PI_SCRIPT_HANDLER_DIRECTORY of its pi.cfg)",
    })
  }
  const changes = diffBindings(existing, wantedBindings({ via: 'script' }))
  report(found, changes, 'script', missing.length > 0 ? { is: 'fail' } : shims)
}

/**
 * Only privacyIDEA has the address that it calls: it is taken from the existing handlers, and the secret is compared.
 */
async function checkHooks(look: BindingLook, { intake: { http } }: Settings, readSecret: SecretReader): Promise<void> {
  const { found, client, standing: existing } = look
  const contentType = contentTypeOf(await offeredContentTypes(client))
  if (http === null || contentType === null) {
    return found.fail('bindings', {
      what: 'the event handlers call the webhook, and it is off (intake.http)',
      why: 'privacyIDEA waits for each call to fail, and the event is lost.',
      fix: 'Write intake.http, or change to the shims: lockstep privacyidea setup --via script',
    })
  }
  const hookUrl = hookUrlOf(http, addressOf(existing), readSecret)
  report(found, diffBindings(existing, wantedBindings({ via: 'webhook', hookUrl, contentType })), 'webhook')
}

function addressOf(existing: readonly ExistingBinding[]): string {
  for (const { name, options } of existing) {
    const url = options['URL'] ?? ''
    const cut = url.indexOf('/hooks/privacyidea/')
    const isPlain = URL.canParse(url) && new URL(url).username === ''
    if (isOurs(name) && cut > 0 && isPlain && TOKEN_EVENT_KINDS.some((kind) => url.endsWith(`/${kind}`)))
      return url.slice(0, cut)
  }
  return 'http://127.0.0.1:8640'
}

function report(
  found: Findings,
  changes: readonly BindingChange[],
  via: 'script' | 'webhook',
  called: ShimsState = { is: 'good' },
): void {
  const open = changes.filter((change) => change.kind !== 'same')
  for (const change of open) {
    const { name, what } = changeText(change)
    found.fail('bindings', {
      what: `the event handler "${name}" ${what}`,
      why: 'Events are lost, or come wrongly; the scan finds most of it later.',
      fix: `lockstep privacyidea setup --via ${via}`,
    })
  }
  if (open.length > 0) return
  const bound = `${counted(changes.length, 'event handler')}, bound as they should be, by ${via}`
  if (called.is === 'good') return found.ok('bindings', bound)
  if (called.is === 'untried') {
    return found.warn('bindings', { what: `${bound}; ${called.what}`, why: WHY_UNTRIED, fix: called.fix })
  }
  found[called.is]('bindings', {
    what: `${bound}, but what they call ${called.is === 'fail' ? 'does not' : 'may not'} work`,
    why: 'Events are lost; the scan finds most of it later.',
    fix: 'Mend what the findings about the scripts show.',
  })
}

function changeText(change: BindingChange): { name: string; what: string } {
  if (change.kind === 'create') return { name: change.wanted.name, what: 'is missing' }
  if (change.kind === 'remove') return { name: change.standing.name, what: 'is there twice' }
  const differences = 'differences' in change ? change.differences : []
  const texts = differences.map(({ what, stands, wanted }) => `${what}: ${stands} instead of ${wanted}`)
  return { name: change.wanted.name, what: `was changed (${texts.join('; ')})` }
}
