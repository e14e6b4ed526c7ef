import { sql } from 'kysely'
import { parseLogin, parseRealm, parseResolverName, parseUserId, type Serial } from '../../core/names.ts'
import {
  isUnplacedCause,
  mustBeSeenAgain,
  SEEN_AGAIN_AFTER_MS,
  UNPLACED_CAUSES,
  type UnplacedGroup,
  type UnplacedToken,
} from '../../core/reasons/unplaced.ts'
import type { Clock } from '../../ports/clock.ts'
import type { FindingDraft } from '../../ports/store/finding.ts'
import type { UnplacedPort } from '../../ports/store/unplaced.ts'
import { syncReasons } from '../guards/findings.ts'
import { inPages, PAGE } from '../rows/queries.ts'
import { RUN_KEY } from './resync.ts'
import { serialFromRow } from '../rows/rows.ts'
import type { Database, UnplacedTable } from '../schema/schema.ts'
import type { StoreWriter, WriteScope } from '../engine/store-writer.ts'
import { readMeta } from '../engine/meta.ts'

/** Tokens that are named in a finding. */
const NAMES_MAX = 5
const NAME_LENGTH_MAX = 120

export function openUnplaced(db: Database, writer: StoreWriter, clock: Clock): UnplacedPort {
  return {
    note: async (tokens) => {
      if (tokens.length === 0) return
      const run = (await readMeta<number>(db, RUN_KEY)) ?? 0
      const { changed, older } = await compare(db, tokens, run, clock.nowMs())
      // Everything that waits for the one writer would wait for this as well.
      if (changed.length + older.length === 0 && (await isReported(db))) return
      await writer.run(async (scope) => {
        await write(scope, changed, run, clock.nowMs())
        await keep(scope, older, run)
        await report(scope, clock.nowMs())
      })
    },
    forget: async (serials) => {
      if (serials.length === 0) return
      await writer.run(async (scope) => {
        for (let at = 0; at < serials.length; at += PAGE) {
          await scope.trx
            .deleteFrom('unplaced')
            .where('serial', 'in', serials.slice(at, at + PAGE))
            .execute()
        }
        await report(scope, clock.nowMs())
      })
    },
    stage: async (run, tokens) => {
      if (tokens.length > 0) await writer.runSoon((scope) => write(scope, tokens, run, clock.nowMs()))
    },
    keep: async (run, serials) => {
      if (serials.length === 0) return
      await writer.runSoon((scope) => keep(scope, serials, run))
    },
    finish: (run) =>
      writer.run(async (scope) => {
        await scope.trx.deleteFrom('unplaced').where('run', '<', run).execute()
        await report(scope, clock.nowMs())
      }),
    toLookAt: () => pagesToLookAt(db, clock.nowMs()),
    list: (limit, cause) => list(db, limit, cause),
    groups: () => groups(db),
  }
}

/** Those that are not on record as they are now, and of the others those that the run has not seen yet. */
async function compare(
  db: Database,
  tokens: readonly UnplacedToken[],
  run: number,
  nowMs: number,
): Promise<{ readonly changed: readonly UnplacedToken[]; readonly older: readonly Serial[] }> {
  const changed: UnplacedToken[] = []
  const older: Serial[] = []
  for (let at = 0; at < tokens.length; at += PAGE) {
    const page = tokens.slice(at, at + PAGE)
    const serials = page.map(({ serial }) => serial)
    const rows = await db.selectFrom('unplaced').selectAll().where('serial', 'in', serials).execute()
    const known = new Map<string, UnplacedTable>(rows.map((row) => [row.serial, row]))
    for (const token of page) {
      const row = known.get(token.serial)
      if (row === undefined || !isAsSeen(row, token) || isSureNow(row, nowMs)) changed.push(token)
      else if (Number(row.run) < run) older.push(token.serial)
    }
  }
  return { changed, older }
}

function isAsSeen(row: UnplacedTable, { cause, login, realm, resolver, userId, isFull }: UnplacedToken): boolean {
  const isSameOwner = row.login === login && row.realm === realm && row.resolver === resolver && row.user_id === userId
  return isSameOwner && row.cause === cause && (row.is_full === 1) === isFull
}

/** Whether a reading now is the second one, and far enough from the first. */
function isSureNow(row: Pick<UnplacedTable, 'is_sure' | 'cause_ms'>, nowMs: number): boolean {
  return row.is_sure === 0 && nowMs - Number(row.cause_ms) >= SEEN_AGAIN_AFTER_MS
}

async function keep({ trx }: WriteScope, serials: readonly Serial[], run: number): Promise<void> {
  for (let at = 0; at < serials.length; at += PAGE) {
    const page = serials.slice(at, at + PAGE)
    await trx.updateTable('unplaced').set({ run }).where('serial', 'in', page).execute()
  }
}

async function write({ trx }: WriteScope, tokens: readonly UnplacedToken[], run: number, nowMs: number): Promise<void> {
  for (const { serial, cause, login, realm, resolver, userId, isFull } of tokens) {
    const seen = { cause, login, realm, resolver, user_id: userId, is_full: isFull ? 1 : 0, run }
    const first = { cause_ms: nowMs, is_sure: mustBeSeenAgain(cause) ? 0 : 1 }
    await trx
      .insertInto('unplaced')
      .values({ serial, ...seen, ...first, since_ms: nowMs })
      .onConflict((conflict) => conflict.column('serial').doUpdateSet({ ...seen, ...seenAgain(first, nowMs) }))
      .execute()
  }
}

/** Another cause, or another owner, begins anew; so does a clock that was set back. */
function seenAgain(first: { readonly cause_ms: number; readonly is_sure: number }, nowMs: number) {
  const isSame = sql<boolean>`unplaced.cause = excluded.cause and unplaced.resolver is excluded.resolver
    and unplaced.user_id is excluded.user_id and unplaced.cause_ms <= ${nowMs}`
  const isLongAgo = sql<boolean>`unplaced.cause_ms <= ${nowMs - SEEN_AGAIN_AFTER_MS}`
  return {
    cause_ms: sql<number>`case when ${isSame} then unplaced.cause_ms else ${first.cause_ms} end`,
    is_sure: sql<number>`case when not (${isSame}) then ${first.is_sure}
      when ${isLongAgo} then 1 else max(unplaced.is_sure, ${first.is_sure}) end`,
  }
}

const CODES = ['owners-unplaced-full', 'owners-unplaced'] as const

/** One finding a cause, of those with a full token and of the others. */
async function draftsOf(db: Pick<Database, 'selectFrom'>): Promise<readonly FindingDraft[]> {
  return (await groups(db)).map((params) => {
    const code = params.full > 0 ? CODES[0] : CODES[1]
    return { subject: params.cause, reason: { code, params } }
  })
}

async function report(scope: WriteScope, nowMs: number): Promise<void> {
  const drafts = await draftsOf(scope.trx)
  for (const code of CODES) {
    const ofCode = drafts.filter(({ reason }) => reason.code === code)
    await syncReasons(scope, code, ofCode, nowMs)
  }
}

/** An aborted run has put some on record and reported nothing. */
async function isReported(db: Database): Promise<boolean> {
  const open = await db
    .selectFrom('finding')
    .select(['kind', 'subject', 'params'])
    .where('kind', 'in', CODES)
    .where('ended_ms', 'is', null)
    .execute()
  const reported = new Set(open.map(({ kind, subject, params }) => `${kind} ${subject} ${params}`))
  const drafts = await draftsOf(db)
  const toReport = drafts.map(({ subject, reason }) => `${reason.code} ${subject} ${JSON.stringify(reason.params)}`)
  return reported.size === toReport.length && toReport.every((each) => reported.has(each))
}

async function groups(db: Pick<Database, 'selectFrom'>): Promise<UnplacedGroup[]> {
  const found: UnplacedGroup[] = []
  for (const cause of UNPLACED_CAUSES) {
    const ofCause = db.selectFrom('unplaced').where('cause', '=', cause).where('is_sure', '=', 1)
    const owner = sql`coalesce(resolver, '') || char(10) || coalesce(user_id, serial)`
    const row = await ofCause
      .select([
        sql<number>`count(*)`.as('tokens'),
        sql<number>`coalesce(sum(is_full), 0)`.as('full'),
        sql<number>`count(distinct ${owner})`.as('owners'),
      ])
      .executeTakeFirstOrThrow()
    if (Number(row.tokens) === 0) continue
    const first = await ofCause.selectAll().orderBy('is_full', 'desc').orderBy('serial').limit(NAMES_MAX).execute()
    const names = first.map(({ serial, login, realm }) => {
      return `${serial}${login === null ? '' : ` (${login}@${realm ?? ''})`}`.slice(0, NAME_LENGTH_MAX)
    })
    found.push({ cause, tokens: Number(row.tokens), full: Number(row.full), owners: Number(row.owners), names })
  }
  return found
}

async function list(
  db: Database,
  limit: number,
  cause: UnplacedToken['cause'] | null,
): ReturnType<UnplacedPort['list']> {
  const all = db.selectFrom('unplaced').selectAll().where('is_sure', '=', 1)
  const rows = await (cause === null ? all : all.where('cause', '=', cause))
    .orderBy('is_full', 'desc')
    .orderBy('cause')
    .orderBy('serial')
    .limit(limit)
    .execute()
  return rows.map((row) => ({
    serial: serialFromRow(row.serial),
    cause: isUnplacedCause(row.cause) ? row.cause : 'unreadable',
    login: row.login === null ? null : parseLogin(row.login),
    realm: row.realm === null ? null : parseRealm(row.realm),
    resolver: row.resolver === null ? null : parseResolverName(row.resolver),
    userId: row.user_id === null ? null : parseUserId(row.user_id),
    isFull: row.is_full === 1,
    sinceMs: Number(row.since_ms),
  }))
}

async function* pagesToLookAt(db: Database, nowMs: number): ReturnType<UnplacedPort['toLookAt']> {
  const query = db
    .selectFrom('unplaced')
    .select(['serial', 'is_sure', 'cause_ms'])
    .where((row) =>
      row.or([
        row('is_full', '=', 1),
        row.and([row('is_sure', '=', 0), row('cause_ms', '<=', nowMs - SEEN_AGAIN_AFTER_MS)]),
      ]),
    )
  for await (const rows of inPages(query, 'serial')) {
    yield rows.map((row) => ({ serial: serialFromRow(row.serial), isDue: isSureNow(row, nowMs) }))
  }
}
