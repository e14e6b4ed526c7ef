import type { Client } from '../http/client.ts'
import { isFields } from '../http/envelope.ts'
import { Fields, unexpected } from '../http/fields.ts'
import { policyRequestOf, type PolicyChange, type ExistingPolicy } from './policies.ts'

/** Reading and writing admin policies (`/policy`), with the rights `policyread`, `policywrite`, `policydelete`. */

export async function readAdminPolicies(client: Client): Promise<readonly ExistingPolicy[]> {
  const where = client.where('GET', '/policy/')
  const { value } = await client.call({ method: 'GET', path: '/policy/', query: { scope: 'admin' } })
  if (!Array.isArray(value)) throw unexpected(where, 'a list was expected')
  // A version ignores a filter that it does not support, so the scope is checked once more here.
  return value.flatMap((each) => (isFields(each) && each['scope'] === 'admin' ? [policyOf(each, where)] : []))
}

function policyOf(value: Readonly<Record<string, unknown>>, where: string): ExistingPolicy {
  const fields = new Fields(value, where)
  const actions = isFields(value['action']) ? value['action'] : {}
  return {
    name: fields.text('name'),
    admins: fields.list('adminuser').map(String),
    actions: Object.keys(actions).filter((name) => actions[name] !== false),
    isActive: fields.looseFlag('active'),
  }
}

export async function makePolicyChange(client: Client, change: PolicyChange): Promise<void> {
  if (change.kind === 'same') return
  if (change.kind === 'remove') await client.call({ method: 'DELETE', path: `/policy/${change.name}` })
  else {
    const { name } = change.wanted
    await client.call({ method: 'POST', path: `/policy/${name}`, body: policyRequestOf(change.wanted) })
  }
}
