import { toAppError, type AppError } from '../../core/error.ts'
import { compareAccounts } from './resync-accounts.ts'
import { ResyncRun, type ResyncOptions, type ResyncPorts, type ResyncReport } from './resync-ports.ts'
import { compareTokens } from './resync-tokens.ts'

/**
 * The full comparison (mode `api`): every token of privacyIDEA, and every account with a mark of ours, against
 * the record, side by side and page by page. Differences are reported, and their accounts marked for the
 * workers. Of all the accounts some bytes each are held in memory, and the drift that is reported; nothing else grows.
 *
 * A run over the tokens that is not complete, or that shows too few of those on record, marks no account at all. A
 * directory that does not answer is left alone and named; the others are compared.
 */

/** Fails with `source-*`: then nothing was repaired. */
export async function resync(ports: ResyncPorts, options: ResyncOptions): Promise<ResyncReport> {
  const run = new ResyncRun(ports, options, await ports.record.begin())
  await compareTokens(run)
  // Not before it ended: what it has shown until then may have been another one's.
  await run.askWhoAnswers()
  if (!run.isOtherSource && !options.isDryRun) await ports.check.refresh(run.marks.list())
  if (!options.isDryRun) {
    await ports.record.release(run.number)
    await ports.unplaced.finish(run.number)
    await reportOdd(run)
    await markUnread(ports)
  }
  let shrunk: AppError | null = null
  for (const directory of ports.directory.names()) {
    try {
      await compareAccounts(run, directory)
    } catch (thrown) {
      const error = toAppError(thrown)
      if (error.code === 'source-shrunk') shrunk = error
      else if (!isOfDirectory(error)) throw error
      else run.leave({ directory, code: error.code, reason: error.message })
    }
  }
  if (shrunk !== null) throw shrunk
  return run.report()
}

async function reportOdd({ odd, ports }: ResyncRun): Promise<void> {
  const [first] = odd.first
  const names = odd.first.map(({ serial }) => serial || 'one without a serial')
  const params = { count: odd.count, names, why: first?.why ?? '' }
  const found = odd.count === 0 ? [] : [{ subject: 'privacyidea', reason: { code: 'odd-tokens' as const, params } }]
  await ports.findings.sync('odd-tokens', found)
}

function isOfDirectory({ code }: AppError): boolean {
  return code.startsWith('directory-')
}

/** Holds that events of mode `events` made, and that no token was found for. */
async function markUnread(ports: ResyncPorts): Promise<void> {
  for await (const keys of ports.snapshots.unreadHolds()) await ports.snapshots.markKeysForRefresh(keys)
}
