import type { Compilable, CompiledQuery, QueryResult } from 'kysely'

/**
 * Statements that are built and compiled once: the query builder costs more than SQLite does, and the statements of
 * the hot path are always the same. They stay the builder's, so they stay portable.
 */

/** Stands for a value that is given at execution. */
class Slot<Name extends string = never> {
  readonly name: Name
  constructor(name: Name) {
    this.name = name
  }
}

type Value = string | number | null

/** Marks the place of a value within a statement that is being prepared. */
export type Place<Values> = <Name extends keyof Values & string>(name: Name) => Values[Name]

/** What runs a compiled statement: the connection of a transaction, or the database outside one. */
export interface Executing {
  executeQuery<Row>(query: CompiledQuery<Row>): Promise<QueryResult<Row>>
}

export interface Prepared<Values, Row> {
  run(on: Executing, values: Values): Promise<QueryResult<Row>>
}

/** `prepare<{ key: string }>()((place) => …)`: the values are named and typed once, for the places and for who runs it. */
export function prepare<Values extends { readonly [Name in keyof Values]: Value }>() {
  return <Row>(build: (place: Place<Values>) => Compilable<Row>): Prepared<Values, Row> => {
    let compiled: CompiledQuery<Row> | null = null
    return {
      run(on, values) {
        compiled ??= build(placeOf).compile()
        const parameters = compiled.parameters.map((each) => (isSlotOf<Values>(each) ? values[each.name] : each))
        return on.executeQuery<Row>({ ...compiled, parameters })
      },
    }
  }
}

/** Typed as the value that its place takes. */
function placeOf<Given>(name: string): Given {
  return new Slot<string>(name) as Given
}

/** A statement holds slots of its own values alone: `prepare` has checked their names. */
function isSlotOf<Values>(parameter: unknown): parameter is Slot<keyof Values & string> {
  return parameter instanceof Slot
}
