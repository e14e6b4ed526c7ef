import {
  judgeTokens,
  judgeTokensAlone,
  tokenMark,
  TOKEN_MARKS_MAX,
  withAuditMark,
  type AuditMark,
  type SourceIdentity,
  type TokenMark,
} from '../../core/source/source-identity.ts'
import { toAppError, type ErrorCode } from '../../core/error.ts'
import { sharedRun } from '../../core/shared-run.ts'
import type { Clock } from '../../ports/clock.ts'
import type { FindingPort } from '../../ports/store/finding.ts'
import type { AuditRow, PrivacyIdeaPort } from '../../ports/privacyidea.ts'
import type { SourceIdentityPort } from '../../ports/store/source-identity.ts'

/**
 * Is the privacyIDEA that answers the one on record? Asked before anything ends because it does not show something. The
 * tokens on record nearly always show it; where they do not, the audit log is asked for rows that it showed before.
 */

/** How far clocks and a change to winter time may move a row of the audit log, which carries local time. */
const AUDIT_SLACK_MS = 2 * 3_600_000
/** The newest row is looked for among those of the last minute: asking for it is a row itself. */
const AUDIT_NEWEST_MS = 60_000
const AUDIT_PAGES_MAX = 1_000
const AUDIT_MARK_EVERY_MS = 86_400_000
/** Tokens that are asked for first. */
const FEW = 8
const OWNERS_DOWN: readonly ErrorCode[] = ['source-resolver', 'source-timeout']

export interface SourceIdentityPorts {
  readonly source: Pick<PrivacyIdeaPort, 'tokensBySerial' | 'walkTokens' | 'auditRows' | 'showsNoToken'>
  readonly identity: SourceIdentityPort
  readonly findings: Pick<FindingPort, 'raise' | 'end'>
  readonly clock: Clock
}

/** What the readings of privacyIDEA need of it. */
export interface SourceCheck {
  /**
   * Whether it is another one than that on record, as known since `maxAgeMs`; 0: asked after this call. Fails with `source-*`.
   */
  isOther(maxAgeMs: number): Promise<boolean>
  /** After a complete run over its tokens: those by which it is recognized from now on. Fails with `source-*`. */
  refresh(tokens: readonly TokenMark[]): Promise<void>
  /** A person states that the privacyIDEA which answers now is meant. Fails with `source-*`. */
  accept(by: string): Promise<void>
}

interface Checked {
  readonly isOther: boolean
  readonly atMs: number
}

export class SourceIdentityCheck implements SourceCheck {
  readonly #ports: SourceIdentityPorts
  #last: Checked | null = null
  readonly #ask: () => Promise<Checked>
  #isReported: boolean | null = null

  constructor(ports: SourceIdentityPorts) {
    this.#ports = ports
    this.#ask = sharedRun(() => this.#once())
  }

  async isOther(maxAgeMs: number): Promise<boolean> {
    const last = this.#last
    if (last !== null && this.#ports.clock.nowMs() - last.atMs < maxAgeMs) return last.isOther
    return (await this.#ask()).isOther
  }

  async #once(): Promise<Checked> {
    const { identity, clock } = this.#ports
    const known = await identity.known()
    const recorded = known ?? { tokens: await identity.recordedTokens(TOKEN_MARKS_MAX), rows: [] }
    const isOther = await this.#differs(recorded)
    this.#last = { isOther, atMs: clock.nowMs() }
    return this.#last
  }

  async #differs(recorded: SourceIdentity): Promise<boolean> {
    const { findings } = this.#ports
    const { tokens, rows } = recorded
    const shown = await this.#shown(recorded)
    const isOther = shown !== 'same' && (await this.#isOtherLog(recorded, shown))
    if (isOther === this.#isReported) return isOther
    const fitting = shown === 'same' ? tokens.length : countFitting(tokens, shown)
    const params = { tokens: tokens.length, shown: fitting, auditRows: rows.length }
    if (isOther) await findings.raise({ subject: '', reason: { code: 'source-changed', params } })
    else await findings.end('source-changed', '')
    this.#isReported = isOther
    return isOther
  }

  /**
   * What it shows of the tokens on record, where that does not prove that it is the same one. A few of them are asked
   * for first. Where their owners’ user store does not answer, the log decides, which needs no user store. Fails with
   * `source-*`.
   */
  async #shown({ tokens, rows }: SourceIdentity): Promise<readonly TokenMark[] | 'same'> {
    const few = [...tokens.slice(0, FEW / 2), ...tokens.slice(Math.max(FEW / 2, tokens.length - FEW / 2))]
    try {
      // Where the time at which they were made is not known of each, most of all have to fit.
      const isTelling = few.length < tokens.length && few.every(({ made }) => made !== null)
      if (isTelling && judgeTokens(few, await this.#read(few)) === 'same') return 'same'
      const shown = await this.#read(tokens)
      return judgeTokens(tokens, shown) === 'same' ? 'same' : shown
    } catch (thrown) {
      if (!OWNERS_DOWN.includes(toAppError(thrown).code)) throw thrown
      for (const mark of rows.toReversed()) if ((await this.#showsRow(mark)) === true) return 'same'
      throw thrown
    }
  }

  async #read(marks: readonly TokenMark[]): Promise<readonly TokenMark[]> {
    if (marks.length === 0) return []
    const found = await this.#ports.source.tokensBySerial(marks.map(({ serial }) => serial))
    return found.map(tokenMark)
  }

  /** Where the log cannot be read, or none of it is on record, the tokens decide alone. */
  async #isOtherLog({ tokens, rows }: SourceIdentity, shown: readonly TokenMark[]): Promise<boolean> {
    let isRead = false
    for (const mark of rows.toReversed()) {
      const found = await this.#showsRow(mark)
      if (found === true) return false
      if (found !== null) isRead = true
    }
    return isRead || judgeTokensAlone(tokens, shown) === 'other'
  }

  /** Null: the log may not be read. */
  async #showsRow(mark: AuditMark): Promise<boolean | null> {
    const sinceMs = this.#ports.clock.nowMs() - mark.atMs + AUDIT_SLACK_MS
    const rows = await this.#auditRows(sinceMs, mark.number - 1, (row) => row.number >= mark.number)
    if (rows === null) return null
    return rows.some(({ number, date }) => number === mark.number && date === mark.date)
  }

  /** The rows of the first page with the wanted one, or of the last page. Null: they may not be read. */
  async #auditRows(
    sinceMs: number,
    afterNumber: number,
    isFound: (row: AuditRow) => boolean,
  ): Promise<readonly AuditRow[] | null> {
    let last: readonly AuditRow[] = []
    let pages = 0
    try {
      for await (const rows of this.#ports.source.auditRows({ sinceMs, afterNumber })) {
        last = rows
        if (rows.some(isFound) || ++pages >= AUDIT_PAGES_MAX) break
      }
      return last
    } catch (thrown) {
      if (toAppError(thrown).code === 'source-not-permitted') return null
      throw thrown
    }
  }

  async refresh(tokens: readonly TokenMark[]): Promise<void> {
    const { identity } = this.#ports
    const known = await identity.known()
    const rows = await this.#withNewestRow(known?.rows ?? [])
    const now = { tokens, rows }
    if (tokens.length === 0 && known !== null) return
    if (JSON.stringify(now) !== JSON.stringify(known)) await identity.remember(now)
  }

  async #withNewestRow(rows: readonly AuditMark[]): Promise<readonly AuditMark[]> {
    const atMs = this.#ports.clock.nowMs()
    const newest = rows.at(-1)
    if (newest !== undefined && atMs - newest.atMs < AUDIT_MARK_EVERY_MS) return rows
    const found = (await this.#auditRows(AUDIT_NEWEST_MS, 0, () => false))?.at(-1)
    return found === undefined ? rows : withAuditMark(rows, { number: found.number, date: found.date, atMs })
  }

  async accept(by: string): Promise<void> {
    const { source, identity } = this.#ports
    const marks = new TokenMarks()
    if (!(await source.showsNoToken())) for await (const { tokens } of source.walkTokens()) marks.add(tokens)
    await identity.accept({ tokens: marks.list(), rows: await this.#withNewestRow([]) }, by)
    this.#last = null
  }
}

function countFitting(recorded: readonly TokenMark[], shown: readonly TokenMark[]): number {
  const now = new Map(shown.map((mark) => [mark.serial, mark]))
  return recorded.filter(
    (mark) =>
      judgeTokens(
        [mark],
        [now.get(mark.serial)].flatMap((each) => each ?? []),
      ) === 'same',
  ).length
}

/** Of the tokens of a run, in the order of their ids: the oldest and the newest. */
export class TokenMarks {
  readonly #oldest: TokenMark[] = []
  #newest: TokenMark[] = []

  add(tokens: readonly Parameters<typeof tokenMark>[0][]): void {
    const half = TOKEN_MARKS_MAX / 2
    const room = half - this.#oldest.length
    this.#oldest.push(...tokens.slice(0, room).map(tokenMark))
    const others = tokens.slice(Math.max(room, tokens.length - half)).map(tokenMark)
    if (others.length > 0) this.#newest = [...this.#newest, ...others].slice(-half)
  }

  list(): readonly TokenMark[] {
    return [...this.#oldest, ...this.#newest]
  }
}
