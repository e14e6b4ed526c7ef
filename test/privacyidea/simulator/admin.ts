import { no, notAllowed, yes, type SimAnswer, type SimRequest } from './answer.ts'
import { REALM, type SimUser } from './stock.ts'
import { userLogin } from './validate.ts'
import type { World } from './world.ts'

/** Logins, users, policies and event handlers. */

export function logIn(world: World, { params }: SimRequest): SimAnswer {
  const { username = '', password = '' } = params
  const expected = world.admins.get(username)
  if (expected === undefined) return userLogin(world, username, password)
  if (expected !== password) {
    world.log('/auth', 'PASSWORD_FAIL', null, null)
    return no(401, 4031, world.version.loginRefused)
  }
  world.log('/auth', 'LOGIN_SUCCESS', null, null)
  const rights = world.rightsOf(username)
  return yes({ token: world.jwtFor(username, 'admin'), role: 'admin', username, realm: '', rights })
}

export function listUsers(world: World, { params, admin }: SimRequest): SimAnswer {
  if (!world.allows(admin, 'userlist')) return notAllowed('userlist')
  const name = (params['realm'] ?? REALM).toLowerCase()
  if (!world.isUserStoreUp || !world.realms.has(name)) return yes([])
  const { username } = params
  const found =
    username === undefined || username === '*'
      ? [...world.stock.users.values()]
      : shown(world, username, name, params['resolver'])
  const realm = world.version.hasConditionalAccess ? { realm: name } : {}
  return yes(
    found.map(({ login, userId, resolver }) => ({
      username: login,
      userid: userId,
      resolver,
      email: `${login}@example.org`,
      givenname: 'User',
      surname: login,
      editable: false,
      ...realm,
    })),
  )
}

/** 3.14 shows the user that it means itself, or the one of the resolver; the others show all of the login. */
function shown(world: World, login: string, realm: string, resolver: string | undefined): readonly SimUser[] {
  const users = world.usersOf(login, realm).filter(({ resolver: of }) => !world.isDown(of))
  if (world.version.listsEveryResolver) return users
  return resolver === undefined ? users.slice(0, 1) : users.filter((user) => user.resolver === resolver)
}

export function setPolicy(world: World, { path, body, admin }: SimRequest): SimAnswer {
  if (!world.allows(admin, 'policywrite')) return notAllowed('policywrite')
  const name = path.slice('/policy/'.length)
  if (body['realm'] === undefined && world.version.htmlNotFound) return no(400, 905, 'ERR905: Missing parameter: realm')
  world.policies.set(name, {
    active: body['active'] !== false,
    admins: textsOf(body['adminuser']),
    actions: textsOf(body['action']),
    body,
  })
  return yes({ [`setPolicy ${name}`]: world.policies.size })
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function textsOf(value: unknown): string[] {
  const all = Array.isArray(value) ? value.map(String) : textOf(value).split(',')
  return all.map((each) => each.trim()).filter((each) => each !== '')
}

export function listPolicies(world: World, { admin }: SimRequest): SimAnswer {
  if (!world.allows(admin, 'policyread')) return notAllowed('policyread')
  return yes([...world.policies].map(([name, { body, active }]) => ({ ...body, name, active })))
}

export function deletePolicy(world: World, { path, admin }: SimRequest): SimAnswer {
  if (!world.allows(admin, 'policydelete')) return notAllowed('policydelete')
  return yes(world.policies.delete(path.slice('/policy/'.length)) ? 1 : 0)
}

/** `/event`: kept as they are sent; the handlers themselves do not run here. */
export function events(world: World, request: SimRequest): SimAnswer {
  const { method, path, admin } = request
  const right = method === 'GET' ? 'eventhandling_read' : 'eventhandling_write'
  if (!world.allows(admin, right)) return notAllowed(right)
  const [, , first = '', second = ''] = path.split('/')
  if (method === 'POST' && (first === 'enable' || first === 'disable')) {
    const binding = world.events.get(Number(second))
    if (binding === undefined) return no(404, 601, 'The event handler does not exist.')
    binding['active'] = first === 'enable'
    return yes(Number(second))
  }
  if (method === 'GET' && first === 'actions') {
    return yes(second === 'Script' ? Object.fromEntries([...world.scripts].map((name) => [name, {}])) : {})
  }
  if (method === 'GET') return yes([...world.events.values()].filter(({ id }) => first === '' || id === Number(first)))
  if (method === 'DELETE') return yes(world.events.delete(Number(first)) ? Number(first) : 0)
  return bind(world, request.body)
}

/** Before 3.14 an update replaces everything but the name; from then on conditions and options stay when absent. */
function bind(world: World, body: SimRequest['body']): SimAnswer {
  const isNew = body['id'] === undefined
  const id = isNew ? Math.max(0, ...world.events.keys()) + 1 : Number(body['id'])
  const before = world.events.get(id) ?? {}
  const isLenient = world.version.hasConditionalAccess
  const action = textOf(body['action'])
  if (isLenient && body['handlermodule'] === 'Script' && !world.scripts.has(action)) {
    return no(400, 905, `ERR905: Unknown action: ${action}. Allowed are: ${[...world.scripts].join(', ')}`)
  }
  const options = Object.entries(body).flatMap(([key, value]) =>
    key.startsWith('option.') ? [[key.slice(7), value]] : [],
  )
  const kept = isLenient && !isNew ? before : { options: {}, conditions: {} }
  world.events.set(id, {
    id,
    name: isNew || isLenient ? body['name'] : before['name'],
    event: textsOf(body['event']),
    handlermodule: body['handlermodule'],
    action,
    position: body['position'] ?? 'post',
    ordering: Number(body['ordering'] ?? 0),
    active: body['active'] !== false,
    conditions: body['conditions'] ?? kept['conditions'],
    options: options.length > 0 ? Object.fromEntries(options) : kept['options'],
  })
  return yes(id)
}

/** `/system`: the one setting that matters here. From 3.13 on a policy may forbid to read it. */
export function systemSetting(world: World, name: string, { method, params, admin }: SimRequest): SimAnswer {
  if (method === 'POST') {
    if (!world.allows(admin, 'configwrite')) return notAllowed('configwrite')
    world.clearTimeoutMin = params['failcounter_clear_timeout'] ?? world.clearTimeoutMin
    return yes({ failcounter_clear_timeout: 'update' })
  }
  if (world.version.guardsSettings && !world.allows(admin, 'configread')) return notAllowed('configread')
  return yes(name === 'failcounter_clear_timeout' ? world.clearTimeoutMin : null)
}
