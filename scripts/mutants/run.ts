import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { checkMutants, type Verdict } from './check.ts'
import { CORE_MUTANTS } from './core.ts'
import { RECONCILE_MUTANTS } from './reconcile.ts'
import { STORE_MUTANTS } from './store.ts'

/**
 * `npm run mutants [-- PART]`: puts deliberate faults into copies of the project, one at a time, and fails where no test
 * notices. PART is a part of a fault's name.
 */

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COPIES_MAX = 4
const EXIT_SURVIVED = 1
const EXIT_USAGE = 64
const EXIT_INTERRUPTED = 130

async function main(): Promise<number> {
  const all = [...CORE_MUTANTS, ...RECONCILE_MUTANTS, ...STORE_MUTANTS]
  const [part = '', ...others] = process.argv.slice(2)
  const chosen = all.filter(({ id }) => id.includes(part))
  if (others.length > 0 || chosen.length === 0) {
    const names = all.map(({ id }) => `  ${id}\n`).join('')
    process.stderr.write(`usage: npm run mutants [-- PART], where PART is a part of one of these names:\n${names}`)
    return EXIT_USAGE
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => process.exit(EXIT_INTERRUPTED))
  const startedAt = performance.now()
  const copies = Math.min(COPIES_MAX, availableParallelism())
  const verdicts = await checkMutants(chosen, { root: ROOT, copies, onVerdict: print })
  const bad = verdicts.filter(({ fate }) => fate !== 'died')
  for (const { mutant, fate, output } of bad) {
    process.stderr.write(`\n${mutant.id} ${fate} (${mutant.file}; ${mutant.tests.join(', ')})\n`)
    if (fate !== 'survived') process.stderr.write(`${output}\n`)
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  process.stdout.write(`${verdicts.length - bad.length} of ${verdicts.length} faults were noticed, ${seconds} s\n`)
  return bad.length === 0 ? 0 : EXIT_SURVIVED
}

function print({ mutant, fate, tookMs }: Verdict): void {
  process.stdout.write(`${fate.padEnd(8)} ${(tookMs / 1000).toFixed(1).padStart(5)} s  ${mutant.id}\n`)
}

process.exitCode = await main()
