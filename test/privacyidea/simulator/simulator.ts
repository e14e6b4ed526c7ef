import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { text } from 'node:stream/consumers'
import { deletePolicy, events, listPolicies, listUsers, logIn, setPolicy, systemSetting } from './admin.ts'
import { no, notAllowed, rendered, yes, type SimAnswer, type SimRequest } from './answer.ts'
import { authenticationLog, conditionalAccess } from './conditional-access.ts'
import { changeToken, initToken, listTokens } from './tokens.ts'
import { validateCheck } from './validate.ts'
import { VERSIONS, type VersionName } from './version.ts'
import { World } from './world.ts'

/** What goes wrong from now on, until it is set back. */
export interface Faults {
  /** Every request is taken and none answered. */
  isHung: boolean
  /** Every answer waits so long. */
  slowMs: number
  /** Every answer is a page of HTML with this status; 0: none. */
  htmlStatus: number
}

export interface SimulatorOptions {
  readonly version?: VersionName
  /** PEM texts; without them it speaks plain HTTP. */
  readonly tls?: { readonly key: string; readonly cert: string }
}

/**
 * privacyIDEA's API as Lockstep and its tests use it, on a free port of loopback, with the quirks of its versions
 * (docs/reference/privacyidea-versions.md). The contract of test/privacyidea/contract.ts runs against it and against the real ones, so that
 * it says what they say. An administrator `admin` with the password `secret` is there.
 */
export interface Simulator extends AsyncDisposable {
  readonly url: string
  readonly world: World
  readonly faults: Faults
  /** How many requests came in. */
  readonly requests: number
  /** Nobody listens any more. */
  stop(): Promise<void>
  /** On the same port again. */
  start(): Promise<void>
}

export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const world = new World(VERSIONS[options.version ?? '3.14'])
  const faults: Faults = { isHung: false, slowMs: 0, htmlStatus: 0 }
  let requests = 0
  let server: Server | null = null
  let port = 0
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    requests++
    void serve(world, faults, request, response).catch((thrown: unknown) => response.destroy(thrown as Error))
  }
  const start = async (): Promise<void> => {
    const next = options.tls === undefined ? createServer(listener) : createTlsServer(options.tls, listener)
    await new Promise<void>((resolve, reject) => next.once('error', reject).listen(port, '127.0.0.1', resolve))
    const address = next.address()
    port = address === null || typeof address === 'string' ? 0 : address.port
    server = next
  }
  const stop = async (): Promise<void> => {
    const running = server
    server = null
    if (running === null) return
    running.closeAllConnections()
    await new Promise((resolve) => running.close(resolve))
  }
  await start()
  return {
    url: options.tls === undefined ? `http://127.0.0.1:${port}` : `https://localhost:${port}`,
    world,
    faults,
    get requests() {
      return requests
    },
    start,
    stop,
    [Symbol.asyncDispose]: async () => {
      world.close()
      await stop()
    },
  }
}

async function serve(world: World, faults: Faults, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(incoming)
  if (faults.isHung) return
  if (faults.slowMs > 0) await new Promise((resolve) => setTimeout(resolve, faults.slowMs))
  const answer = await answerTo(world, faults, incoming, body)
  const { status, type, text: content } = rendered(answer, world.version)
  response.writeHead(status, { 'content-type': type }).end(content)
}

async function answerTo(world: World, faults: Faults, incoming: IncomingMessage, body: string): Promise<SimAnswer> {
  if (faults.htmlStatus > 0) return { kind: 'html', status: faults.htmlStatus }
  const method = incoming.method ?? ''
  // A GET that says it has a body of JSON, and has none.
  if (method === 'GET' && /json/.test(incoming.headers['content-type'] ?? '')) return { kind: 'html', status: 400 }
  const url = new URL(incoming.url ?? '/', 'http://x')
  const parsed = parseBody(incoming.headers['content-type'] ?? '', body)
  const named = Object.entries(parsed).map(([name, value]) => [name, String(value)] as const)
  const query = [...url.searchParams].map(([name, value]) => [name, decodedAgain(value)] as const)
  const params = Object.fromEntries([...query, ...named])
  const open: SimRequest = { method, path: url.pathname, params, body: parsed, admin: '' }
  const forAll = publicCall(world, open)
  if (forAll !== null) return audited(world, open, forAll)
  const jwt = incoming.headers.authorization ?? ''
  if (jwt === '') return no(401, 4033, 'Authentication failure. Missing Authorization header.')
  const session = world.sessionOf(jwt)
  if (session === 'expired')
    return no(401, 4305, 'Authentication failure. Your token has expired: Signature has expired')
  if (session === null) return no(401, 4304, 'Authentication failure. Error decoding the Authorization token')
  const request = { ...open, admin: session.name }
  return audited(world, request, await adminCall(world, request))
}

/** The values of a query are decoded twice there; what is no escape stays as it is. */
function decodedAgain(value: string): string {
  return value.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => {
    try {
      return decodeURIComponent(escapes)
    } catch {
      return escapes
    }
  })
}

function publicCall(world: World, request: SimRequest): SimAnswer | null {
  if (request.method !== 'POST') return null
  if (request.path === '/auth') return logIn(world, request)
  return request.path === '/validate/check' ? validateCheck(world, request) : null
}

async function adminCall(world: World, request: SimRequest): Promise<SimAnswer> {
  const { method, path, admin } = request
  const [, area = '', action = ''] = path.split('/')
  if (path === '/token/' && method === 'GET') return listTokens(world, request)
  if (path === '/token/init' && method === 'POST') return initToken(world, request)
  if (area === 'token' && method === 'POST') return changeToken(world, action, request)
  if (area === 'token' && method === 'DELETE') {
    return changeToken(world, 'delete', { ...request, params: { ...request.params, serial: action } })
  }
  if (path === '/user/' && method === 'GET') return listUsers(world, request)
  if (path === '/realm/' && method === 'GET') return yes(realmsOf(world))
  if (path === '/audit/' && method === 'GET') {
    return world.allows(admin, 'auditlog') ? yes(world.audit.page(request.params)) : notAllowed('auditlog')
  }
  if (area === 'policy' && method === 'POST') return setPolicy(world, request)
  if (area === 'policy' && method === 'GET') return listPolicies(world, request)
  if (area === 'policy' && method === 'DELETE') return deletePolicy(world, request)
  if (area === 'event') return events(world, request)
  if (area === 'system') return systemSetting(world, action, request)
  if (!world.version.hasConditionalAccess) return { kind: 'unknown-path' }
  if (area === 'conditionalaccess') return conditionalAccess(world, request)
  return path === '/authenticationlog/' && method === 'GET'
    ? authenticationLog(world, request)
    : { kind: 'unknown-path' }
}

/** Takes no right. */
function realmsOf({ realms }: World): Record<string, unknown> {
  const members = (resolvers: readonly string[]) =>
    resolvers.map((name) => ({ name, type: 'ldapresolver', priority: null }))
  return Object.fromEntries(
    [...realms].map(([name, resolvers]) => [name, { default: false, resolver: members(resolvers) }]),
  )
}

function audited(world: World, { method, path, params, admin }: SimRequest, answer: SimAnswer): SimAnswer {
  const token = params['serial'] === undefined ? null : world.stock.token(params['serial'])
  const owner = token?.userId ?? null
  const isSuccess = answer.kind === 'yes' && answer.value !== false
  const login = params['user'] ?? (owner === null ? '' : (world.stock.users.get(owner)?.login ?? ''))
  world.audit.add({
    action: `${method} ${path}`,
    success: isSuccess ? 1 : 0,
    authentication: path.startsWith('/validate') ? (isSuccess ? 'ACCEPT' : 'REJECT') : '',
    serial: params['serial'] ?? '',
    user: login,
    realm: login === '' ? '' : 'r1',
    resolver: login === '' ? '' : 'ldap1',
    administrator: admin,
  })
  return answer
}

function parseBody(type: string, body: string): Record<string, unknown> {
  if (body === '') return {}
  if (!/json/.test(type)) return Object.fromEntries(new URLSearchParams(body))
  try {
    const parsed: unknown = JSON.parse(body)
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {}
  } catch {
    return {}
  }
}
