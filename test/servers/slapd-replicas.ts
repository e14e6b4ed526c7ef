import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startSlapd, type Slapd, type SlapdOptions } from './slapd.ts'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'

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
    for (const [index] of roles.entries()) {
      const options = optionsOf(index)
      const globalConfig = `moduleload syncprov\nserverID ${index + 1}`
      const databaseConfig = 'overlay syncprov'
      const accessRules = `# syncrepl\n${options.accessRules ?? ''}`
      const from = servers[0] === undefined ? {} : { dataOf: servers[0].dir }
      const all = { ...options, globalConfig, databaseConfig, accessRules, ...from }
      servers.push(stack.use(await startSlapd(all)))
    }
    const replicas: Replica[] = []
    for (const [index, slapd] of servers.entries()) {
      const providers = servers.filter((each, at) => at !== index && roles[at] === 'provider' && each !== slapd)
      const links: TcpProxy[] = []
      for (const provider of providers) links.push(stack.use(await startTcpProxy(portOf(provider))))
      configure(slapd, linesFor(links, servers[0], roles[index] ?? 'provider'))
      const proxy = stack.use(await startTcpProxy(portOf(slapd)))
      const url = `ldap://127.0.0.1:${proxy.port}`
      const lag = (): void => links.forEach((link) => link.hold())
      const letCatchUp = (): void => links.forEach((link) => link.letGo())
      replicas.push({ slapd, proxy, url, lag, letCatchUp })
    }
    for (const { slapd } of replicas) {
      await slapd.stop()
      await slapd.start()
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
    const who = `bindmethod=simple binddn="${first?.adminDn}" credentials=${first?.adminPassword}`
    const how = 'type=refreshAndPersist retry="1 +" keepalive=1:1:1'
    return `syncrepl rid=00${index + 1} provider=ldap://127.0.0.1:${link.port} searchbase="${first?.base}" ${who} ${how}`
  })
  if (role === 'provider' && links.length > 0) lines.push('multiprovider on')
  if (role === 'referring') lines.push(`updateref ${first?.url}`)
  return lines.join('\n')
}

function configure(slapd: Slapd, lines: string): void {
  const file = join(slapd.dir, 'slapd.conf')
  writeFileSync(file, readFileSync(file, 'utf8').replace('# syncrepl', lines))
}
