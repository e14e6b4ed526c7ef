import { no, notAllowed, UNKNOWN_USER, yes, type SimAnswer, type SimRequest } from './answer.ts'
import type { Lockout } from './lockouts.ts'
import { namesOf, type World } from './world.ts'

/** Conditional Access of 3.14: lockouts of users, the policies that make them, and the authentication log. */

export function conditionalAccess(world: World, request: SimRequest): SimAnswer {
  const { method, path } = request
  if (path === '/conditionalaccess/lock/users' && method === 'GET') return listLockouts(world, request)
  if (path === '/conditionalaccess/lock/user' && method === 'GET') return oneLockout(world, request)
  if (path === '/conditionalaccess/lock/user' && method === 'POST') return setLockout(world, request)
  if (path === '/conditionalaccess/lock/user' && method === 'DELETE') return releaseLockout(world, request)
  if (path === '/conditionalaccess/policy' && method === 'POST') return addPolicy(world, request)
  return { kind: 'unknown-path' }
}

function listLockouts(world: World, { params, admin }: SimRequest): SimAnswer {
  if (!world.allows(admin, 'user_lock_read')) return notAllowed('user_lock_read')
  const states = params['states']?.split(',') ?? ['permanent', 'temporary', 'expired']
  const found = world.lockouts.all().filter((each) => states.includes(stateOf(each)))
  const [page, size] = [Number(params['page'] ?? 1), Math.min(1000, Number(params['page_size'] ?? 15))]
  const rows = found.slice((page - 1) * size, page * size)
  return yes({ count: found.length, current: page, locked_users: rows.map((each) => world.mangle(rowOf(world, each))) })
}

function oneLockout(world: World, { params, admin }: SimRequest): SimAnswer {
  if (!world.allows(admin, 'user_lock_read')) return notAllowed('user_lock_read')
  const userId = userIdOf(world, params)
  const found = world.lockouts.all().find((each) => each.userId === userId && stateOf(each) !== 'expired')
  return yes(found === undefined ? null : rowOf(world, found))
}

function stateOf({ untilMs }: Lockout): string {
  if (untilMs === Infinity) return 'permanent'
  return untilMs > Date.now() ? 'temporary' : 'expired'
}

function rowOf(world: World, { userId, untilMs, lockedAtMs, cause }: Lockout): Record<string, unknown> {
  const isPermanent = untilMs === Infinity
  return {
    ...namesOf(world, userId),
    user_role: 'user',
    permanent: isPermanent,
    lock_expires_at: isPermanent ? null : new Date(untilMs).toUTCString(),
    seconds_remaining: isPermanent ? null : Math.max(0, Math.floor((untilMs - Date.now()) / 1000)),
    lock_cause: cause,
    locked_at: new Date(lockedAtMs).toUTCString(),
    error_message: null,
  }
}

/** @returns null where there is no such user */
function userIdOf(world: World, params: SimRequest['params']): string | null {
  const { user, user_id: userId } = params
  if (userId !== undefined) return world.stock.users.has(userId) ? userId : null
  return world.stock.userOf(user ?? '')?.userId ?? null
}

function setLockout(world: World, { params, admin }: SimRequest): SimAnswer {
  if (!world.allows(admin, 'user_lock_set')) return notAllowed('user_lock_set')
  const userId = userIdOf(world, params)
  if (userId === null) return no(400, 905, 'ERR905: The user does not exist.')
  const duration = params['duration_seconds']
  return yes(rowOf(world, world.lockouts.set(userId, duration === undefined ? null : Number(duration), 'MANUAL')))
}

function releaseLockout(world: World, { params, admin }: SimRequest): SimAnswer {
  if (!world.allows(admin, 'user_lock_reset')) return notAllowed('user_lock_reset')
  const userId = userIdOf(world, params)
  return userId === null ? UNKNOWN_USER : yes(world.lockouts.release(userId))
}

function addPolicy(world: World, { body, admin }: SimRequest): SimAnswer {
  if (!world.allows(admin, 'conditional_access_policy_write')) return notAllowed('conditional_access_policy_write')
  const policy = body as {
    counter_types_to_track: string[]
    stages: {
      failure_threshold: number
      actions: { action_type: string; action_value?: { duration_seconds: number } }[]
    }[]
  }
  const [stage] = policy.stages
  const [action] = stage?.actions ?? []
  const types = policy.counter_types_to_track
  const threshold = stage?.failure_threshold ?? Infinity
  return yes(world.lockouts.addPolicy({ types, threshold, durationS: action?.action_value?.duration_seconds ?? null }))
}

export function authenticationLog(world: World, { params, admin }: SimRequest): SimAnswer {
  if (!world.allows(admin, 'authentication_log_read')) return notAllowed('authentication_log_read')
  const fromMs = params['start_time'] === undefined ? 0 : Date.parse(params['start_time'])
  const found = world.authenticationLog.filter(({ atMs }) => atMs >= fromMs)
  const sorted = params['sort_order'] === 'asc' ? found : found.toReversed()
  const [page, size] = [Number(params['page'] ?? 1), Number(params['page_size'] ?? 15)]
  const rows = sorted.slice((page - 1) * size, page * size).map(({ id, atMs, type, endpoint, serial, userId }) => ({
    id,
    timestamp: new Date(atMs).toISOString().replace('Z', '000+00:00'),
    event_type: type,
    endpoint,
    serial,
    reasons: [],
    ...namesOf(world, userId),
  }))
  return yes({ count: found.length, current: page, auth_logs: rows.map((row) => world.mangle(row)) })
}
