/** Something that is wrong between keys, found in the raw file, so that it shows beside the mistakes of single keys. */
export interface Relation {
  readonly path: readonly PropertyKey[]
  readonly severity: 'error' | 'warning'
  readonly message: string
}
