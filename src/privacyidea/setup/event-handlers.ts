import { AppError } from '../../core/error.ts'
import { hideSecrets, requestOf, type Binding, type BindingChange, type ExistingBinding } from './bindings.ts'
import type { Client } from '../http/client.ts'
import { isFields } from '../http/envelope.ts'
import { Fields, unexpected } from '../http/fields.ts'

/**
 * Reading and writing event handlers (`/event`), with the rights `eventhandling_read` and `eventhandling_write`. Everything
 * here fails as `Client.call` does.
 */

const HANDLERS_MAX = 10_000

export async function readHandlers(client: Client): Promise<readonly ExistingBinding[]> {
  const where = client.where('GET', '/event/')
  const { value } = await client.call({ method: 'GET', path: '/event/' })
  if (!Array.isArray(value)) throw unexpected(where, 'a list was expected')
  if (value.length > HANDLERS_MAX) throw unexpected(where, `more than ${HANDLERS_MAX} event handlers`)
  return value.map((each) => existingOf(each, where))
}

function existingOf(value: unknown, where: string): ExistingBinding {
  const fields = new Fields(value, where)
  return {
    id: fields.number('id'),
    name: fields.text('name'),
    events: fields.list('event').map(String),
    module: fields.text('handlermodule'),
    action: fields.text('action'),
    position: fields.textOr('position', 'post'),
    ordering: Number(fields.textOr('ordering', '0')),
    isActive: fields.looseFlag('active'),
    conditions: textsOf(value, 'conditions'),
    options: textsOf(value, 'options'),
  }
}

/** Values are texts, numbers or flags, by version and by author. */
function textsOf(value: unknown, name: string): Readonly<Record<string, string>> {
  const found = isFields(value) ? value[name] : undefined
  if (!isFields(found)) return {}
  return Object.fromEntries(Object.entries(found).map(([key, each]) => [key, textOf(each)]))
}

function textOf(value: unknown): string {
  if (value === true) return 'True'
  if (value === false) return 'False'
  return typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value)
}

export async function offeredScripts(client: Client): Promise<readonly string[]> {
  const { value } = await client.call({ method: 'GET', path: '/event/actions/Script' })
  return isFields(value) ? Object.keys(value) : []
}

/** The content types of a webhook's body that this version offers. */
export async function offeredContentTypes(client: Client): Promise<readonly string[]> {
  const { value } = await client.call({ method: 'GET', path: '/event/actions/WebHook' })
  const action = isFields(value) ? value['post_webhook'] : undefined
  const option = isFields(action) ? action['content_type'] : undefined
  const offered = isFields(option) ? option['value'] : undefined
  return Array.isArray(offered) ? offered.map(String) : []
}

/** Makes one change; an equal handler is not touched. A replaced handler is made anew before the old one goes. */
export async function makeChange(client: Client, change: BindingChange): Promise<void> {
  if (change.kind === 'same') return
  if (change.kind === 'remove') await remove(client, change.id)
  else await write(client, change.wanted, change.kind === 'update' ? change.id : null)
  if (change.kind === 'replace') await remove(client, change.id)
}

async function write(client: Client, binding: Binding, id: number | null): Promise<void> {
  try {
    await client.call({ method: 'POST', path: '/event', body: requestOf(binding, id) })
  } catch (thrown) {
    // A refusal may repeat what was sent.
    if (!(thrown instanceof AppError)) throw thrown
    const message = `${binding.name}: ${hideSecrets(thrown.message.replace(/^privacyIDEA: /, ''))}`
    throw new AppError(thrown.code, message, { hint: thrown.hint })
  }
}

async function remove(client: Client, id: number): Promise<void> {
  await client.call({ method: 'DELETE', path: `/event/${id}` })
}
