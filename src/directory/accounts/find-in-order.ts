import { AppError, toAppError } from '../../core/error.ts'
import type { Login, Realm } from '../../core/names.ts'
import type { FoundAccount } from '../../ports/directory.ts'
import { findByIds, findMany, type FindingDirectory, type WantedUser } from './find-many.ts'

/**
 * Users of a realm that several directories belong to. The id from the resolver decides, in any of the directories.
 * Where no directory has that id, the login decides, in the order of the configuration. A directory that does not
 * answer may have the id, or the login before the others: then nothing is guessed.
 */
export interface OrderedDirectory extends FindingDirectory {
  findById(text: string): Promise<FoundAccount | null>
}

/** Fails with `unknown-user` where no directory has it, `ambiguous-match`, `directory-*`. */
export async function findUserInOrder(
  directories: readonly OrderedDirectory[],
  { login, realm, userId }: WantedUser,
): Promise<FoundAccount> {
  let silent: AppError | null = null
  for (const directory of directories) {
    try {
      const account = await directory.findById(userId)
      if (account !== null) return account
    } catch (thrown) {
      silent ??= directoryError(thrown)
    }
  }
  if (silent !== null) throw silent
  return findLoginInOrder(directories, login, realm)
}

/** As `findUserInOrder`, for a user whose id is not known. */
export async function findLoginInOrder(
  directories: readonly OrderedDirectory[],
  login: Login,
  realm: Realm | null,
): Promise<FoundAccount> {
  let unknown: AppError | null = null
  for (const directory of directories) {
    try {
      return await directory.findByLogin(login, realm)
    } catch (thrown) {
      const error = toAppError(thrown)
      if (error.code !== 'unknown-user') throw error
      unknown ??= error
    }
  }
  throw unknown ?? new AppError('unknown-user', 'no directory belongs to the realm')
}

/** As `findUserInOrder` for each of them, by searches for many at a time. Never fails; see `findMany`. */
export async function findManyInOrder(
  directories: readonly OrderedDirectory[],
  users: readonly WantedUser[],
): Promise<readonly (FoundAccount | AppError)[]> {
  const found = new Map<WantedUser, FoundAccount | AppError>()
  const silent = new Map<WantedUser, AppError>()
  const left = (): WantedUser[] => users.filter((user) => !found.has(user))
  for (const directory of directories) {
    const asked = left()
    try {
      const byId = await findByIds(directory, asked)
      for (const user of asked) {
        const account = byId.get(user.userId.toLowerCase())
        if (account !== undefined) found.set(user, account)
      }
    } catch (thrown) {
      const error = directoryError(thrown)
      for (const user of asked) if (directory.isOwnId(user.userId)) silent.set(user, error)
    }
  }
  for (const [user, error] of silent) if (!found.has(user)) found.set(user, error)
  const unknown = new Map<WantedUser, AppError>()
  for (const directory of directories) {
    const asked = left()
    const answers = await findMany(directory, asked)
    asked.forEach((user, at) => {
      const answer = answers[at]
      if (answer instanceof AppError && answer.code === 'unknown-user') unknown.set(user, answer)
      else if (answer !== undefined) found.set(user, answer)
    })
  }
  return users.map((user) => found.get(user) ?? unknown.get(user) ?? new AppError('unknown-user', 'nobody was found'))
}

/** What a directory itself failed with; anything else is thrown. */
function directoryError(thrown: unknown): AppError {
  const error = toAppError(thrown)
  if (!error.code.startsWith('directory-')) throw error
  return error
}
