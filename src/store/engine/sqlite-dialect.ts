import { accessSync, closeSync, constants, fdatasync, fsyncSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import {
  CompiledQuery,
  SqliteDialect,
  SqliteDriver,
  type DatabaseConnection,
  type Driver,
  type SqliteDatabase,
  type SqliteStatement,
} from 'kysely'
import { AppError, backoffMs, toAppError } from '../../core/error.ts'
import { errnoOf } from '../../core/system-error.ts'
import { delay } from '../../ports/delay.ts'

/**
 * Everything that is SQLite's alone: how it is opened, how a transaction begins, and its errors. Another database
 * brings a file like this one.
 */

const BUSY_TRIES_MAX = 200
const BUSY_WAIT_MAX_MS = 100
const OPEN_TRIES_MAX = 200
const OPEN_WAIT_MS = 20
const STATEMENTS_MAX = 200
const SQLITE_BUSY = 5
const SQLITE_FULL = 13
const SQLITE_CORRUPT = 11
const SQLITE_NOTADB = 26
const SQLITE_READONLY = 8
const SQLITE_CANTOPEN = 14
const SQLITE_IOERR = 10

/**
 * Opens the file, creates it where it is missing, and sets WAL. Several that open a new file at once wait for each
 * other; SQLite's own waiting does not cover the change to WAL.
 *
 * `synchronous = full` would sync the log within each commit, and block this thread for it. Here a commit leaves it
 * (`normal`: what is synced is what the file's integrity needs), and `WalSync` does the same sync beside other work,
 * before any caller gets the result that something is on disk.
 */
export function openSqliteFile(file: string): DatabaseSync {
  for (let tries = 1; ; tries++) {
    try {
      return openOnce(file)
    } catch (thrown) {
      const error = storeError(thrown, file)
      if (error.code !== 'store-busy' || tries >= OPEN_TRIES_MAX) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, OPEN_WAIT_MS)
    }
  }
}

function openOnce(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: OPEN_WAIT_MS })
  try {
    database.exec('pragma journal_mode = wal; pragma synchronous = normal; pragma foreign_keys = on')
    database.exec('pragma wal_autocheckpoint = 8000; pragma cache_size = -32000; pragma temp_store = memory')
    return database
  } catch (thrown) {
    database.close()
    throw thrown
  }
}

/**
 * Puts all that is committed on disk. The log is one file, written from front to back, so that one sync covers every
 * commit before it, of any process. It stays the same file while any connection is open. Dispose it.
 */
export class WalSync implements Disposable {
  readonly #file: string
  #fd: number | null = null

  /** @param file the store's; `:memory:` has no log */
  constructor(file: string) {
    this.#file = file
  }

  /** Fails with `store-unavailable`: what was written since the last sync may be lost. */
  async sync(): Promise<void> {
    if (this.#file === ':memory:') return
    try {
      this.#fd ??= this.#open()
      await fdatasyncOf(this.#fd)
    } catch (thrown) {
      throw new AppError(
        'store-unavailable',
        `the store ${this.#file} cannot be put on disk: ${toAppError(thrown).message}`,
        {
          cause: thrown,
          hint: 'Check the disk, then start Lockstep again: it finds what was not finished.',
        },
      )
    }
  }

  /** The log's name in its folder is on disk from here on. */
  #open(): number {
    const fd = openSync(`${this.#file}-wal`, 'r')
    const folder = openSync(dirname(this.#file), 'r')
    fsyncSync(folder)
    closeSync(folder)
    return fd
  }

  [Symbol.dispose](): void {
    if (this.#fd !== null) closeSync(this.#fd)
    this.#fd = null
  }
}

const fdatasyncOf = promisify(fdatasync)

/** Kysely's own dialect over `node:sqlite`. It hands its one connection to one user at a time. */
export class NodeSqliteDialect extends SqliteDialect {
  readonly #database: StatementCache

  constructor(database: DatabaseSync, file: string) {
    const cache = new StatementCache(database, file)
    super({ database: cache })
    this.#database = cache
  }

  override createDriver(): Driver {
    return new NodeSqliteDriver(this.#database)
  }
}

class NodeSqliteDriver extends SqliteDriver {
  readonly #database: StatementCache

  constructor(database: StatementCache) {
    super({ database })
    this.#database = database
  }

  /** Takes the write lock at once: a transaction that first reads could otherwise not be upgraded. */
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await connection.executeQuery(CompiledQuery.raw('begin immediate'))
        return
      } catch (thrown) {
        if (toAppError(thrown).code !== 'store-busy' || attempt >= BUSY_TRIES_MAX) throw thrown
        await delay(Math.min(BUSY_WAIT_MAX_MS, backoffMs(0, Math.random()) / 10))
      }
    }
  }

  /** A full disk makes SQLite roll back by itself; a second time would fail, and hide why. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#database.isInTransaction) await super.rollbackTransaction(connection)
  }
}

/** The database as Kysely asks it: statements are prepared once each, and what fails is an AppError. */
class StatementCache implements SqliteDatabase {
  readonly #database: DatabaseSync
  readonly #file: string
  readonly #statements = new Map<string, SqliteStatement>()

  constructor(database: DatabaseSync, file: string) {
    this.#database = database
    this.#file = file
  }

  get isInTransaction(): boolean {
    return this.#database.isTransaction
  }

  prepare(sql: string): SqliteStatement {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    if (this.#statements.size >= STATEMENTS_MAX) this.#statements.clear()
    const prepared = this.#attempt(() => this.#statement(this.#database.prepare(sql)))
    this.#statements.set(sql, prepared)
    return prepared
  }

  #statement(statement: StatementSync): SqliteStatement {
    return {
      reader: statement.columns().length > 0,
      all: (values) => this.#attempt(() => statement.all(...(values as SQLInputValue[]))),
      run: (values) => this.#attempt(() => statement.run(...(values as SQLInputValue[]))),
      iterate: (values) => statement.iterate(...(values as SQLInputValue[])),
    }
  }

  #attempt<Result>(work: () => Result): Result {
    try {
      return work()
    } catch (thrown) {
      throw storeError(thrown, this.#file)
    }
  }

  close(): void {
    this.#statements.clear()
    this.#database.close()
  }
}

/** Maps what SQLite throws; the file is named, the SQL is not. */
function storeError(thrown: unknown, file: string): AppError {
  if (thrown instanceof AppError) return thrown
  const code = (thrown as { errcode?: number }).errcode
  const text = thrown instanceof Error ? thrown.message : String(thrown)
  const primary = code === undefined ? -1 : code & 0xff
  switch (primary) {
    case SQLITE_BUSY:
      return new AppError('store-busy', `the store ${file} is busy`, { cause: thrown, hint: 'Try again in a moment.' })
    case SQLITE_FULL:
      return new AppError('disk-full', `no space left for the store ${file}`, {
        cause: thrown,
        hint: 'Free some disk space; waiting work goes on by itself.',
      })
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return new AppError('store-corrupt', `the store ${file} is damaged or no SQLite database: ${text}`, {
        cause: thrown,
        hint: 'Move the file away and run `lockstep rebuild`: it restores holds and serials from the LDIF folders and the directory.',
      })
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      return notWritable(file, text, thrown)
    case SQLITE_IOERR:
      return new AppError('store-unavailable', `cannot read or write the store ${file}: ${text}`, {
        cause: thrown,
        hint: 'Check the disk.',
      })
    default:
      return new AppError('store-unavailable', `the store ${file} refused a statement: ${text}`, { cause: thrown })
  }
}

/** SQLite reports no more than that it could not: the folder shows why. */
function notWritable(file: string, text: string, cause: unknown): AppError {
  const folder = dirname(file)
  const failed = (why: string, hint: string, because: unknown = cause): AppError => {
    const message = `cannot open the store ${file} for writing: ${why}`
    return new AppError('file-not-permitted', message, { cause: because, hint })
  }
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
    if (statSync(file, { throwIfNoEntry: false })?.isFile() === true) accessSync(file, constants.W_OK)
  } catch (thrown) {
    const code = errnoOf(thrown)
    if (code === 'EROFS')
      return failed('its file system is read-only', 'Mount it for writing, or name another place (key store).')
    if (code === 'ENOENT')
      return failed(`its folder ${folder} does not exist`, 'Make it, or name another place (key store).')
    const hint = 'Run this as the user that Lockstep runs as, or as root; the folder belongs to that user.'
    return failed('this user may not write there', hint, thrown)
  }
  return failed(text, 'Check that it is a file, and that it belongs to the user that runs Lockstep (key store).')
}
