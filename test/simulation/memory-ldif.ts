import type { Change } from '../../src/core/change.ts'
import { headerOf, writeChangeLdif } from '../../src/core/ldif.ts'
import type { LdifPort } from '../../src/ports/ldif.ts'

/**
 * The LDIF folders in memory, file by file as the real ones do it, so that a crash can strike between any two of them.
 * @param step called before each change to a file; may throw
 */
export class MemoryLdif implements LdifPort {
  readonly files = new Map<string, string>()
  readonly #step: () => void

  constructor(step: () => void) {
    this.#step = step
  }

  async prepare(change: Change): Promise<void> {
    const names = change.serial === null ? change.holds : [change.serial]
    for (const name of names) {
      if (change.kind === 'lock') this.#put(`lock/${name}`, textOf(change, 'forward'))
      if (change.kind === 'lock') this.#put(`unlock/${name}`, textOf(change, 'inverse'))
      if (change.kind === 'register')
        this.#put(`register/history/${name}--${change.plannedAtMs}`, textOf(change, 'forward'))
      if (change.kind === 'register') this.#put(`unregister/${name}`, textOf(change, 'inverse'))
      if (change.kind === 'unlock' || change.kind === 'unregister') {
        if (!this.files.has(`${change.kind}/${name}`)) this.#put(`${change.kind}/${name}`, textOf(change, 'forward'))
      }
    }
  }

  async applied(change: Change): Promise<void> {
    if (change.kind === 'register') return
    const names = change.serial === null ? change.holds : [change.serial]
    for (const name of names)
      this.#move(`${change.kind}/${name}`, `${change.kind}/history/${name}--${change.plannedAtMs}`)
  }

  async abandoned(change: Change, keep: readonly string[]): Promise<void> {
    const names = change.serial === null ? change.holds : [change.serial]
    for (const name of names) {
      if (change.kind === 'lock') this.#drop(`lock/${name}`)
      if (change.kind === 'lock' && !keep.includes(name)) this.#drop(`unlock/${name}`)
      if (change.kind === 'register') this.#drop(`register/history/${name}--${change.plannedAtMs}`)
      if (change.kind === 'register' && !keep.includes(name)) this.#drop(`unregister/${name}`)
    }
  }

  async ensurePending({ folder, name, text }: Parameters<LdifPort['ensurePending']>[0]): Promise<void> {
    if (!this.files.has(`${folder}/${name}`)) this.#put(`${folder}/${name}`, text)
  }

  async dropPending(folder: string, name: string, how: 'applied' | 'superseded'): Promise<void> {
    if (how === 'applied') this.#move(`${folder}/${name}`, `${folder}/history/${name}--hand`)
    else this.#drop(`${folder}/${name}`)
  }

  async listPending(folder: string): Promise<string[]> {
    return [...this.files.keys()].flatMap((path) => {
      const [first, second, third] = path.split('/')
      return first === folder && third === undefined && second !== undefined ? [second] : []
    })
  }

  async readPending(folder: string, name: string): Promise<string | null> {
    return this.files.get(`${folder}/${name}`) ?? null
  }

  async sweep(inWork: readonly string[]): Promise<void> {
    for (const name of await this.listPending('lock')) if (!inWork.includes(name)) this.#drop(`lock/${name}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.files.clear()
  }

  #put(path: string, text: string): void {
    this.#step()
    this.files.set(path, text)
  }

  #drop(path: string): void {
    this.#step()
    this.files.delete(path)
  }

  #move(from: string, to: string): void {
    const text = this.files.get(from)
    if (text === undefined) return
    this.#step()
    this.files.set(to, text)
    this.files.delete(from)
  }
}

function textOf(change: Change, which: 'forward' | 'inverse'): string {
  const header = {
    atMs: change.plannedAtMs,
    event: change.kind,
    actor: change.actor,
    account: change.key,
    change: change.id,
    reason: change.reason,
  }
  return writeChangeLdif(change[which], headerOf(header))
}
