/** The audit log: a row for each request, numbered from 1. */

export interface AuditEntry {
  readonly number: number
  readonly atMs: number
  readonly fields: Readonly<Record<string, unknown>>
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const EMPTY = {
  authentication: '',
  token_type: '',
  serial: '',
  user: '',
  realm: '',
  resolver: '',
  administrator: '',
  action_detail: '',
  info: '',
}

export class AuditLog {
  readonly entries: AuditEntry[] = []

  add(fields: Readonly<Record<string, unknown>>, atMs = Date.now()): void {
    this.entries.push({ number: this.entries.length + 1, atMs, fields })
  }

  /** `GET /audit/`. */
  page(params: Readonly<Record<string, string>>): Record<string, unknown> {
    const [, count = '0', unit = 's'] = /^(\d+)([smhd])$/.exec(params['timelimit'] ?? '') ?? []
    const fromMs = params['timelimit'] === undefined ? 0 : Date.now() - Number(count) * (UNIT_MS[unit] ?? 0)
    const found = this.entries.filter(({ atMs }) => atMs >= fromMs)
    const sorted = params['sortorder'] === 'asc' ? found : found.toReversed()
    const [page, size] = [Number(params['page'] ?? 1), Number(params['page_size'] ?? 15)]
    const rows = sorted.slice((page - 1) * size, page * size)
    return {
      count: found.length,
      current: page,
      auditdata: rows.map(({ number, atMs, fields }) => ({ ...EMPTY, ...fields, number, date: naive(atMs) })),
    }
  }
}

/** Local time without a zone, with microseconds, as Python writes it. */
function naive(atMs: number): string {
  const local = new Date(atMs - new Date(atMs).getTimezoneOffset() * 60_000)
  return `${local.toISOString().slice(0, -1)}000`
}
