import { ResultCodeError, type Client, type Entry } from 'ldapts'
import { span } from '../../core/format/duration.ts'
import { AppError } from '../../core/error.ts'
import { limitAnswers } from '../ldap/answer-limits.ts'
import { clientOn } from '../ldap/connection.ts'
import { errorOfResult, resultCodeOf, type Attempt } from '../protocol/result-code.ts'
import { openSocket, serverOf, type SocketSettings } from '../ldap/socket.ts'
import { ROOT_ATTRIBUTES, rootFactsFrom, type RootFacts } from './server-facts.ts'

/** Results that mean "not with this password now": wrong, locked, or (389-DS) inactivated. */
const REFUSED: ReadonlySet<number> = new Set([19, 49, 53])

/** What a server shows about itself to anybody (RFC 4512, 5.1); for the set-up, when there is no account yet. */
export async function readRoot(url: string, settings: SocketSettings): Promise<RootFacts> {
  const options = { scope: 'base' as const, attributes: [...ROOT_ATTRIBUTES, 'defaultNamingContext'] }
  const read = async (client: Client): Promise<Entry | null> =>
    (await client.search('', options)).searchEntries[0] ?? null
  return rootFactsFrom(await once(url, settings, { kind: 'read', dn: '' }, read))
}

/** Whether anybody may see an entry. */
export async function isSeen(url: string, settings: SocketSettings, dn: string): Promise<boolean> {
  const options = { scope: 'base' as const, attributes: ['1.1'], sizeLimit: 1 }
  return once(url, settings, { kind: 'read', dn }, async (client) => {
    try {
      return (await client.search(dn, options)).searchEntries.length > 0
    } catch (error) {
      if (resultCodeOf(error) !== null) return false
      throw error
    }
  })
}

/** Tries a user's own password, on a connection of its own. */
export async function bindAs(
  url: string,
  settings: SocketSettings,
  dn: string,
  password: string,
): Promise<'accepted' | 'refused'> {
  if (password === '') throw new AppError('usage', 'a bind without a password proves nothing')
  return once(url, settings, { kind: 'bind', dn }, async (client) => {
    try {
      await client.bind(dn, password)
      return 'accepted'
    } catch (error) {
      const code = resultCodeOf(error)
      if (code !== null && REFUSED.has(code)) return 'refused'
      throw error
    }
  })
}

/** One operation on a connection without a bind, within `connectTimeoutMs`. */
async function once<Result>(
  url: string,
  settings: SocketSettings,
  what: Pick<Attempt, 'kind' | 'dn'>,
  call: (client: Client) => Promise<Result>,
): Promise<Result> {
  const socket = await openSocket(serverOf(url, settings), settings)
  const gone = new AppError(
    'directory-unreachable',
    `directory ${settings.name}: ${url}: no answer within ${span(settings.connectTimeoutMs)}`,
  )
  const timer = setTimeout(() => socket.destroy(), settings.connectTimeoutMs)
  const client = clientOn(socket, () => gone)
  const limits = limitAnswers(client, () => socket.destroy())
  try {
    return await call(client)
  } catch (error) {
    if (error instanceof ResultCodeError) throw errorOfResult(error, { directory: settings.name, url, ...what })
    throw error instanceof AppError ? error : new AppError(gone.code, gone.message, { cause: error })
  } finally {
    clearTimeout(timer)
    limits.close()
    socket.destroy()
  }
}
