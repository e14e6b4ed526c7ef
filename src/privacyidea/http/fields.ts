import { AppError } from '../../core/error.ts'
import { isFields } from './envelope.ts'

/** An object of an answer, read field by field. What is not as expected fails with `source-answer`, naming the field. */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>
  readonly #where: string

  constructor(value: unknown, where: string) {
    if (!isFields(value)) throw unexpected(where, 'an object was expected')
    this.#values = value
    this.#where = where
  }

  text(name: string): string {
    const value = this.#values[name]
    if (typeof value === 'string') return value
    throw this.#unexpected(name, 'a text')
  }

  /** A field that is missing or null is `missing`; privacyIDEA leaves out fields without a value. */
  textOr<T>(name: string, missing: T): string | T {
    return this.#values[name] === undefined || this.#values[name] === null ? missing : this.#plain(name)
  }

  number(name: string): number {
    const value = this.#values[name]
    if (typeof value === 'number' && Number.isFinite(value)) return value
    throw this.#unexpected(name, 'a number')
  }

  flag(name: string): boolean {
    const value = this.#values[name]
    if (typeof value === 'boolean') return value
    throw this.#unexpected(name, 'true or false')
  }

  /** As a flag; some columns of the audit log hold 0 and 1. */
  looseFlag(name: string): boolean {
    return [true, 1, '1'].some((each) => each === this.#values[name])
  }

  list(name: string): readonly unknown[] {
    const value: unknown = this.#values[name]
    if (Array.isArray(value)) return value
    throw this.#unexpected(name, 'a list')
  }

  /** False also where it is missing or none. */
  isEmptyList(name: string): boolean {
    const value: unknown = this.#values[name]
    return Array.isArray(value) && value.length === 0
  }

  /** Ids and names may come as numbers. */
  #plain(name: string): string {
    const value = this.#values[name]
    if (typeof value === 'string') return value
    if (typeof value === 'number') return String(value)
    throw this.#unexpected(name, 'a text')
  }

  #unexpected(name: string, expected: string): AppError {
    return unexpected(this.#where, `the field ${name} is not ${expected}`)
  }
}

export function unexpected(where: string, what: string): AppError {
  return new AppError('source-answer', `${where}: ${what}`, {
    hint: 'Is it privacyIDEA 3.11 to 3.14 that answers there? See docs/reference/privacyidea-versions.md.',
  })
}
