import { isDeepStrictEqual } from 'node:util'
import {
  directoriesOfRealm,
  formOf,
  lostMarks,
  marksText,
  type LostMarks,
  type RealmDirectories,
} from '../core/settings/directory-form.ts'
import { AppError } from '../core/error.ts'
import type { DirectoryName, Realm } from '../core/names.ts'
import type { Settings } from '../core/settings/settings.ts'
import type { Store } from '../store/store.ts'

type Forms = Pick<Store, 'forms' | 'retirements'>

/**
 * Refuses a configuration that would lose locks or serials of ours: a directory that holds some is not dropped, the
 * form that they are found by is not changed, and a realm keeps the directories in which its accounts hold some. Fails
 * with `config-invalid`, with the number and the remedy.
 */
export async function refuseLostMarks(settings: Settings, { forms, retirements }: Forms): Promise<void> {
  const proven = (await retirements.all()).filter(({ provenMs }) => provenMs !== null)
  const isProven = (name: DirectoryName): boolean => proven.some((each) => each.directory === name)
  for (const [name, before] of await forms.all()) {
    if (isProven(name)) continue
    const directory = settings.directories.find((each) => each.name === name)
    const form = directory === undefined ? null : formOf(directory)
    if (form !== null && (before === null || isDeepStrictEqual(before, form))) continue
    const lost = lostMarks(name, before, form, await forms.marksIn(name))
    if (lost !== null) throw refusal(lost)
  }
  const kept = settings.directories.map(({ name }) => name).filter((name) => !isProven(name))
  for (const name of kept) await refuseLostRealm(name, realmsOf(settings), forms)
}

/** Events of an account are handled in the directories of its realm. */
async function refuseLostRealm(name: DirectoryName, now: RealmDirectories, forms: Forms['forms']): Promise<void> {
  const before = await forms.realms()
  if (before === null || isDeepStrictEqual(before, now)) return
  const isIn = (map: RealmDirectories, realm: Realm): boolean => directoriesOfRealm(map, realm).includes(name)
  for (const realm of await forms.realmsIn(name)) {
    if (!isIn(before, realm) || isIn(now, realm)) continue
    const marks = await forms.marksIn(name, realm)
    if (marks.locks + marks.serials === 0) continue
    const both = [name, ...directoriesOfRealm(now, realm)].join(', ')
    const what = `realm ${realm} no longer has directory ${name}`
    throw new AppError('config-invalid', `${what}; ${marksText(marks)} would stay there for good`, {
      hint: `Put it back as it was, or beside the others: realms: { ${realm}: [${both}] }. ${wayOut(name)}`,
    })
  }
}

function realmsOf({ realms, directories }: Settings): RealmDirectories {
  return { realms, directories: directories.map(({ name }) => name) }
}

/** Later writes are found by these forms. A directory that was retired begins anew with its new form, or is over. */
export async function noteForms(settings: Settings, { forms, retirements }: Forms): Promise<void> {
  const { directories } = settings
  const realms = realmsOf(settings)
  if (!isDeepStrictEqual(await forms.realms(), realms)) await forms.noteRealms(realms)
  const now = new Map(directories.map((each) => [each.name, formOf(each)]))
  const before = await forms.all()
  for (const { directory, provenMs } of await retirements.all()) {
    const form = now.get(directory)
    if (form === undefined) await retirements.forget(directory)
    else if (provenMs !== null && !isDeepStrictEqual(before.get(directory) ?? null, form)) {
      await retirements.cancel(directory, '')
    }
  }
  const isNoted = [...now].every(([name, form]) => isDeepStrictEqual(before.get(name) ?? null, form))
  const isOver = [...before].some(([name, form]) => form !== null && !now.has(name))
  if (!isNoted || isOver) await forms.note(now)
}

function refusal(lost: LostMarks): AppError {
  const { directory, key } = lost
  const what =
    key === null
      ? `the configuration no longer has directory ${directory}`
      : `${key === 'lock' ? 'what a lock is (type, lock)' : key} of directory ${directory} was changed`
  return new AppError('config-invalid', `${what}; ${marksText(lost)} would stay there for good`, {
    hint: `Put it back as it was. ${wayOut(directory)}`,
  })
}

function wayOut(directory: DirectoryName): string {
  return `To release them first: lockstep retire ${directory} shows them, lockstep retire ${directory} --yes releases them; then change the configuration.`
}
