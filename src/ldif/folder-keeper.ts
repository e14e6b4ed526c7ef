import { identityOf, makeFolders } from './layout.ts'

/**
 * Checks whether the folders are still those that were opened. An administrator may remove or replace them, or mount
 * something over them while they are in use.
 */
export class FolderKeeper {
  readonly #root: string
  #known: ReadonlyMap<string, string>
  /** Folders that were replaced since the last call of `takeChanged`. */
  readonly #changed = new Set<string>()

  constructor(root: string) {
    this.#root = root
    makeFolders(root)
    this.#known = identityOf(root)
  }

  /**
   * Makes missing folders. Fails as `makeFolders` does.
   * @returns true where something was missing, or is another folder than before
   */
  restore(): boolean {
    const now = identityOf(this.#root)
    const changed = [...now].flatMap(([path, id]) => (id === this.#known.get(path) ? [] : [path]))
    if (changed.length === 0) return false
    makeFolders(this.#root)
    this.#known = identityOf(this.#root)
    for (const path of changed) this.#changed.add(path)
    return true
  }

  /** The folders that were made again or replaced since the last call. */
  takeChanged(): readonly string[] {
    const changed = [...this.#changed]
    this.#changed.clear()
    return changed
  }
}
