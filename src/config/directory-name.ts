import { AppError } from '../core/error.ts'
import { parseDirectoryName, type DirectoryName } from '../core/names.ts'

/** A name that passed the checks of the file. */
export function directoryName(text: string): DirectoryName {
  const name = parseDirectoryName(text)
  if (name === null) throw new AppError('internal', 'the name of a directory passed the checks and is none')
  return name
}
