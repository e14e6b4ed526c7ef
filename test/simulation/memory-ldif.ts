import type { Change } from '../../src/core/account/change.ts'
import { headerOf, parseChangeLdif, writeChangeLdif } from '../../src/core/ldif.ts'
import type { AccountKey } from '../../src/core/names.ts'
import type { LdifPort, PendingLdif, Release } from '../../src/ports/ldif.ts'

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
    for (const name of namesOf(change)) {
      if (change.kind === 'lock') this.#put(`lock/${name}`, textOf(change, 'forward'))
      if (change.kind === 'lock') this.#putWaiting(`unlock/${name}`, change.key, textOf(change, 'inverse'))
      if (change.kind === 'register') this.#put(historyOf(change, name), textOf(change, 'forward'))
      if (change.kind === 'register') this.#putWaiting(`unregister/${name}`, change.key, textOf(change, 'inverse'))
      if (change.kind === 'unlock' || change.kind === 'unregister') {
        const path = `${change.kind}/${name}`
        const text = textOf(change, 'forward')
        if (this.#isNewer(path, change.plannedAtMs)) continue
        if (!this.#isOthers(path, change.key) && recordsOf(this.files.get(path)) !== recordsOf(text))
          this.#put(path, text)
      }
    }
  }

  async applied(change: Change): Promise<void> {
    if (change.kind === 'register') return
    for (const name of namesOf(change)) {
      const path = `${change.kind}/${name}`
      if (change.kind === 'lock') {
        if (this.#isOf(path, change)) this.#move(path, historyOf(change, name))
      } else if (!this.#isOthers(path, change.key) && !this.#isNewer(path, change.plannedAtMs))
        this.#move(path, historyOf(change, name))
      else this.#put(historyOf(change, name), textOf(change, 'forward'))
    }
  }

  async arrived(change: Change): Promise<void> {
    for (const name of namesOf(change)) this.#put(historyOf(change, name), textOf(change, 'forward'))
  }

  async wasApplied(change: Change): Promise<boolean> {
    return (
      (change.kind === 'lock' || change.kind === 'unlock') &&
      namesOf(change).some(
        (name) => this.files.get(historyOf(change, name))?.includes(`# change: ${change.id}`) === true,
      )
    )
  }

  async abandoned(change: Change, keep: readonly string[]): Promise<void> {
    for (const name of namesOf(change)) {
      if (change.kind === 'lock') this.#dropOwn(`lock/${name}`, change)
      if (change.kind === 'lock' && !keep.includes(name)) this.#dropOwn(`unlock/${name}`, change)
      if (change.kind === 'register') this.#drop(historyOf(change, name))
      if (change.kind === 'register' && !keep.includes(name)) this.#dropOwn(`unregister/${name}`, change)
    }
  }

  async ensurePending({ folder, name, account, text }: PendingLdif): Promise<void> {
    const path = `${folder}/${name}`
    if (!this.files.has(path) || this.#isOthers(path, account)) this.#putWaiting(path, account, text)
  }

  async replacePending({ folder, name, account, text }: PendingLdif): Promise<void> {
    this.#putWaiting(`${folder}/${name}`, account, text)
  }

  async renewPending({ folder, name, account, text }: PendingLdif): Promise<void> {
    const path = `${folder}/${name}`
    if (this.#isNewer(path, Date.parse(parseChangeLdif(text).header.at))) return
    if (!this.#isOthers(path, account) && recordsOf(this.files.get(path)) !== recordsOf(text)) this.#put(path, text)
  }

  async dropPending(
    folder: string,
    name: string,
    how: 'applied' | 'superseded',
    account: AccountKey,
    untilMs = Infinity,
  ): Promise<void> {
    const path = `${folder}/${name}`
    if (this.#isOthers(path, account) || this.#isNewer(path, untilMs)) return
    if (how === 'applied') this.#move(path, `${folder}/history/${name}--hand`)
    else this.#drop(path)
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

  async changedFolders(): Promise<readonly string[]> {
    return []
  }

  /** It knows no times of its own: nothing here is ever newer than the record. */
  async releases(): Promise<ReadonlyMap<string, Release>> {
    return new Map<string, Release>()
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

  #putWaiting(path: string, account: AccountKey, text: string): void {
    if (this.#isNewer(path, Date.parse(parseChangeLdif(text).header.at))) return
    if (this.#isOthers(path, account)) this.#move(path, `${path.replace('/', '/history/')}--moved`)
    this.#put(path, text)
  }

  #dropOwn(path: string, change: Change): void {
    if (this.#isOf(path, change)) this.#drop(path)
  }

  #isOf(path: string, change: Change): boolean {
    const text = this.files.get(path)
    return text !== undefined && parseChangeLdif(text).header.change === change.id && !this.#isOthers(path, change.key)
  }

  #isNewer(path: string, atMs: number): boolean {
    const text = this.files.get(path)
    return text !== undefined && Date.parse(parseChangeLdif(text).header.at) > atMs
  }

  #isOthers(path: string, account: AccountKey): boolean {
    const text = this.files.get(path)
    return text !== undefined && parseChangeLdif(text).header.account !== account
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

function recordsOf(text = ''): string {
  return text.slice(text.indexOf('\nversion:'))
}

function textOf(change: Change, which: 'forward' | 'inverse'): string {
  const header = {
    atMs: change.plannedAtMs,
    event: change.kind,
    actor: change.actor,
    owner: change.owner,
    account: change.key,
    change: change.id,
    reason: change.reason,
  }
  return writeChangeLdif(change[which], headerOf(header))
}

function namesOf(change: Change): readonly string[] {
  return change.serial === null ? change.holds : [change.serial]
}

function historyOf(change: Change, name: string): string {
  return `${change.kind}/history/${name}--${change.plannedAtMs}`
}
