import { ADMIN_DN, ADMIN_PASSWORD, BASE } from './slapd-files.ts'
import type { SlapdOptions } from './slapd-files.ts'
import { startSlapd, type Slapd } from './slapd.ts'
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts'

/**
 * Servers of one directory that replicate (syncrepl, refreshAndPersist): `provider`s take writes from each other and
 * from clients; a `consumer` takes them from the providers alone, and refuses those of clients (53); a `referring` one
 * names the first provider instead (10).
 */
export type ReplicaRole = 'provider' | 'consumer' | 'referring'

export interface Replica {
  readonly slapd: Slapd
  /** What clients of the test use; stands before the server. */
  readonly proxy: TcpProxy
  readonly url: string
  /** Changes of the others no longer reach it, until `letCatchUp`. */
  lag(): void
  letCatchUp(): void
}

export interface Replicas extends AsyncDisposable {
  readonly all: readonly Replica[]
  readonly urls: readonly string[]
}

/** @param optionsOf by the number of the server, from 0 */
export async function startReplicas(
  roles: readonly ReplicaRole[],
  optionsOf: (index: number) => SlapdOptions = () => ({}),
): Promise<Replicas> {
  const stack = new AsyncDisposableStack()
  try {
    const servers: Slapd[] = []
    const replicas: Replica[] = []
    for (const [index, role] of roles.entries()) {
      const links: TcpProxy[] = []
      for (const [other, itsRole] of roles.entries()) {
        if (other === index || itsRole !== 'provider') continue
        links.push(stack.use(await startTcpProxy(() => (servers[other] === undefined ? null : portOf(servers[other])))))
      }
      const options = optionsOf(index)
      const slapd = stack.use(
        await startSlapd({
          ...options,
          globalConfig: `moduleload syncprov\nserverID ${index + 1}`,
          databaseConfig: 'overlay syncprov',
          accessRules: `${linesFor(links, servers[0], role)}\n${options.accessRules ?? ''}`,
          ...(servers[0] === undefined ? {} : { dataOf: servers[0].dir }),
        }),
      )
      servers.push(slapd)
      const proxy = stack.use(await startTcpProxy(portOf(slapd)))
      const url = `ldap://127.0.0.1:${proxy.port}`
      const lag = (): void => links.forEach((link) => link.hold())
      const letCatchUp = (): void => links.forEach((link) => link.letGo())
      replicas.push({ slapd, proxy, url, lag, letCatchUp })
    }
    const owned = stack.move()
    const urls = replicas.map(({ url }) => url)
    return { all: replicas, urls, [Symbol.asyncDispose]: () => owned.disposeAsync() }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

function portOf(slapd: Slapd): number {
  return Number(new URL(slapd.url).port)
}

function linesFor(links: readonly TcpProxy[], first: Slapd | undefined, role: ReplicaRole): string {
  const lines = links.map((link, index) => {
    const who = `bindmethod=simple binddn="${ADMIN_DN}" credentials=${ADMIN_PASSWORD}`
    const how = 'type=refreshAndPersist retry="1 +" keepalive=1:1:1'
    return `syncrepl rid=00${index + 1} provider=ldap://127.0.0.1:${link.port} searchbase="${BASE}" ${who} ${how}`
  })
  if (role === 'provider' && links.length > 0) lines.push('multiprovider on')
  if (role === 'referring') lines.push(`updateref ${first?.url}`)
  return lines.join('\n')
}
