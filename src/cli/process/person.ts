import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import type { CliIo } from '../terminal/io.ts'

/**
 * The acting person, for the record: the same answer for every command. It is the person who logged in by the kernel's
 * record (the audit login uid, kept over su and sudo), else the one behind sudo, else the user that called the command.
 * LOGNAME and USER can be set to anything, and are not used. A user who may write the store can record any name: this
 * prevents mistakes, not attacks.
 */
export function personOf({ env }: Pick<CliIo, 'env'>): string {
  return personBy({ loginUid: loginUid(), sudoUser: env['SUDO_USER'] ?? '', uid: CALLED_AS_UID, nameOf: userName })
}

export interface Signs {
  /** Null where nobody logged in, or it is not known. */
  readonly loginUid: number | null
  /** '' without sudo. */
  readonly sudoUser: string
  /** Null where the system has none. */
  readonly uid: number | null
  readonly nameOf: (uid: number) => string
}

export function personBy({ loginUid: login, sudoUser, uid, nameOf }: Signs): string {
  if (login !== null) return nameOf(login)
  if (sudoUser !== '') return sudoUser
  return uid === null ? 'unknown' : nameOf(uid)
}

/** Before a command of root goes on as the owner of the store (cli/process/state-owner.ts). */
const CALLED_AS_UID = process.getuid?.() ?? null
/** proc_pid_loginuid(5): nobody logged in. */
const NO_LOGIN = 4_294_967_295

function loginUid(): number | null {
  try {
    const text = readFileSync('/proc/self/loginuid', 'utf8').trim()
    return /^\d{1,10}$/.test(text) && Number(text) !== NO_LOGIN ? Number(text) : null
  } catch {
    return null
  }
}

const LOOKUP_TIMEOUT_MS = 2_000

/** By the system's own name service, which has users of a directory too. */
function userName(uid: number): string {
  if (uid === process.getuid?.()) {
    try {
      return userInfo().username
    } catch {
      return `uid ${uid}`
    }
  }
  try {
    const found = execFileSync('getent', ['passwd', String(uid)], {
      encoding: 'utf8',
      timeout: LOOKUP_TIMEOUT_MS,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const [name = ''] = found.split(':')
    return name === '' ? `uid ${uid}` : name
  } catch {
    return nameInFile(uid)
  }
}

/** For systems without getent, as with musl. */
function nameInFile(uid: number): string {
  try {
    const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
    const found = lines.map((line) => line.split(':')).find(([, , id]) => id === String(uid))
    return found?.[0] ?? `uid ${uid}`
  } catch {
    return `uid ${uid}`
  }
}
