/** Wakes a loop that waits: a call while nobody waits is remembered once. */
export class Signal {
  #wake: (() => void) | null = null
  #isSet = false

  notify(): void {
    this.#isSet = true
    this.#wake?.()
  }

  /** Resolves at the next `notify`, at once if there was one since the last wait, or after so long. */
  async wait(timeoutMs: number): Promise<void> {
    if (!this.#isSet && timeoutMs > 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, timeoutMs)
      this.#wake = resolve
      await promise
      this.#wake = null
      clearTimeout(timer)
    }
    this.#isSet = false
  }
}
