/** The help of a command in addition to its options. */
export interface HelpPage {
  /** One line in the list of commands: at most `SUMMARY_LENGTH_MAX` characters. */
  readonly summary: string
  /** Facts to know in addition to the options. */
  readonly note?: string | undefined
  /**
   * Complete command lines, each with its purpose; a long one goes on after a backslash. A group of commands has none.
   */
  readonly examples: readonly (readonly [what: string, line: string])[]
  /** Exit codes for scripts, in addition to those of every command. */
  readonly exits?: Readonly<Record<number, string>>
}

/** By the command: `lock`, `review approve`. */
export type HelpPages = Readonly<Record<string, HelpPage>>

export function page(about: Omit<HelpPage, 'examples'>, ...examples: HelpPage['examples']): HelpPage {
  return { ...about, examples }
}
