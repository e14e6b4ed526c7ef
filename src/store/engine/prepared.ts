import type { Compilable, CompiledQuery, QueryResult } from 'kysely'
import { AppError } from '../../core/error.ts'

/**
 * Statements that are built and compiled once: the query builder costs more than SQLite does, and the statements of
 * the hot path are always the same. They stay the builder's, so they stay portable.
 */

/** Stands for a value that is given at execution. */
class Slot {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

type Value = string | number | null

/** What runs a compiled statement: the connection of a transaction, or the database outside one. */
export interface Executing {
  executeQuery<Row>(query: CompiledQuery<Row>): Promise<QueryResult<Row>>
}

export interface Prepared<Values, Row> {
  /** @param values each time of the same names: the statement is built for those of the first time */
  run(on: Executing, values: Values): Promise<QueryResult<Row>>
}

/** `prepare<{ key: string }>()(({ key }) => …)`: the values are named and typed once, for the statement and for who runs it. */
export function prepare<Values extends { readonly [Name in keyof Values]: Value }>() {
  return <Row>(build: (values: Values) => Compilable<Row>): Prepared<Values, Row> => {
    let compiled: CompiledQuery<Row> | null = null
    let names = 0
    return {
      run(on, values) {
        if (compiled === null) {
          compiled = build(slotsOf(values)).compile()
          names = Object.keys(values).length
        }
        // A value of another name would be left out of the row, and nothing would show it.
        if (Object.keys(values).length !== names)
          throw new AppError('internal', 'a prepared statement got other values')
        const parameters = compiled.parameters.map((each) => (isSlotOf<Values>(each) ? values[each.name] : each))
        return on.executeQuery<Row>({ ...compiled, parameters })
      },
    }
  }
}

/** Typed as the values whose places they take. */
function slotsOf<Values extends object>(values: Values): Values {
  return Object.fromEntries(Object.keys(values).map((name) => [name, new Slot(name)])) as Values
}

/** A statement holds slots of its own values alone. */
function isSlotOf<Values>(parameter: unknown): parameter is { readonly name: keyof Values } {
  return parameter instanceof Slot
}
