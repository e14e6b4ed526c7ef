import { sql, type SelectQueryBuilder, type StringReference } from 'kysely'

/** Queries of the same shape over whatever table. */

/** Rows that are read at a time, where a table is read from front to back. */
export const PAGE = 500

/** How many rows it finds. */
export async function countOf<Tables, Table extends keyof Tables>(
  query: SelectQueryBuilder<Tables, Table, object>,
): Promise<number> {
  const { n } = (await query.select(sql`count(*)`.as('n')).executeTakeFirstOrThrow()) as { readonly n: number }
  return Number(n)
}

export async function findsAny<Tables, Table extends keyof Tables>(
  query: SelectQueryBuilder<Tables, Table, object>,
): Promise<boolean> {
  const first = query.select(sql`1`.as('one')).limit(1)
  return (await first.executeTakeFirst()) !== undefined
}

/** Page by page, in the order of a column of texts that is selected and that no two rows share. No page is empty. */
export async function* inPages<Tables, Table extends keyof Tables, Row extends object>(
  query: SelectQueryBuilder<Tables, Table, Row>,
  column: StringReference<Tables, Table> & string,
  rowsMax: number = PAGE,
): AsyncGenerator<readonly Row[]> {
  const ordered = query.orderBy(column).limit(rowsMax)
  const name = column.slice(column.indexOf('.') + 1) as keyof Row
  for (let after: unknown = ''; ;) {
    const rows = (await ordered.where(column, '>', after as never).execute()) as Row[]
    const last = rows.at(-1)
    if (last === undefined) return
    yield rows
    if (rows.length < rowsMax) return
    after = last[name]
  }
}
