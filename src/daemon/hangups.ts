/** SIGHUP requests a reload of the configuration. A signal before `listen` is not lost. */
export class Hangups {
  #listener: (() => void) | null = null
  #isWaiting = false

  raise(): void {
    if (this.#listener === null) this.#isWaiting = true
    else this.#listener()
  }

  listen(listener: () => void): void {
    this.#listener = listener
    if (this.#isWaiting) listener()
    this.#isWaiting = false
  }
}
