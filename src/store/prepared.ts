import type { Compilable, CompiledQuery, QueryResult } from 'kysely'

/**
 * Statements that are built and compiled once: the query builder costs more than SQLite does, and the statements of
 * the hot path are always the same. They stay the builder's, so they stay portable.
 */

/** Stands for a value that is given at execution. Typed as whatever its place takes. */
class Slot {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** Marks the place of a value within a statement that is being prepared. */
export type Place = <Value>(name: string) => Value

export type Values = Readonly<Record<string, string | number | null>>

/** What runs a compiled statement: the connection of a transaction, or the database outside one. */
export interface Executing {
  executeQuery<Row>(query: CompiledQuery<Row>): Promise<QueryResult<Row>>
}

export interface Prepared<Row> {
  run(on: Executing, values: Values): Promise<QueryResult<Row>>
}

export function prepare<Row>(build: (place: Place) => Compilable<Row>): Prepared<Row> {
  const place = <Value>(name: string): Value => new Slot(name) as Value
  let compiled: CompiledQuery<Row> | null = null
  return {
    run(on, values) {
      compiled ??= build(place).compile()
      const parameters = compiled.parameters.map((each) => (each instanceof Slot ? values[each.name] : each))
      return on.executeQuery<Row>({ ...compiled, parameters })
    },
  }
}
