import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

/**
 * The program's entry. Compiled code is kept beside the bundle (a few ms less at each start), not in a shared temporary
 * folder, where another user could plant it; where that is not writable, there is none.
 */
// A SIGHUP never ends the daemon. Node.js undoes what the launcher ignores, so that this comes before all else.
if (process.argv.includes('serve')) process.on('SIGHUP', () => undefined)
// Nothing that it makes is for everybody, whatever the caller's umask.
process.umask(0o027)
if (import.meta.url.endsWith('.js')) enableCompileCache(fileURLToPath(new URL('.cache', import.meta.url)))
const { BARE_REASONS_VARIABLE, renderBareCodes } = await import('../core/wording.ts')
renderBareCodes(process.env[BARE_REASONS_VARIABLE] === '1')
const { main } = await import('./main.ts')
const { processIo } = await import('./terminal/io.ts')
process.exitCode = await main(process.argv.slice(2), processIo())
