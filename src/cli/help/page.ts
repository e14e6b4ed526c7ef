/** What the help of a command has besides its options. */
export interface HelpPage {
  /** One line in the list of commands: at most `SUMMARY_LENGTH_MAX` characters. */
  readonly summary: string
  /** What has to be known besides the options. */
  readonly note?: string | undefined
  /** Command lines that work as they stand, each with what it is for; a long one goes on after a backslash. A group of commands has none. */
  readonly examples: readonly (readonly [what: string, line: string])[]
  /** Exit codes that a script has to know, besides those of every command. */
  readonly exits?: Readonly<Record<number, string>>
}

/** By the words of the command: `lock`, `review approve`. */
export type HelpPages = Readonly<Record<string, HelpPage>>

export function page(about: Omit<HelpPage, 'examples'>, ...examples: HelpPage['examples']): HelpPage {
  return { ...about, examples }
}
