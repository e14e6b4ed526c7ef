import { contractOf, documentOf } from '../../src/contract/contract.ts'

/** Every document that a test reads is held against what docs/reference/json.md promises. Fails with what is different. */
export function documentIn(stdout: string, args: readonly string[], exit: number | null): unknown {
  const contract = contractOf(args)
  if (contract === null) throw new Error(`docs/reference/json.md has nothing about: lockstep ${args.join(' ')}`)
  const document = JSON.parse(stdout) as { readonly ok: boolean }
  const { success, error } = documentOf(contract.data).safeParse(document)
  if (!success) throw new Error(`lockstep ${contract.command} --json: ${error.message}\n${stdout.slice(0, 2_000)}`)
  if (document.ok !== (exit === 0)) throw new Error(`ok is ${document.ok}, and the exit code ${exit}: ${stdout}`)
  return document
}
