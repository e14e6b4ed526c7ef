import { fileURLToPath } from 'node:url'

/**
 * The program's entry. It refuses a Node.js that is too old: what an old one does not have is imported after that, by `import()`.
 * Compiled code is kept beside the bundle (a few ms less at each start), not in a shared temporary folder, where another user
 * could plant it; where that is not writable, there is none.
 */
const NODE_MAJOR_MIN = 24
/** EX_UNAVAILABLE of sysexits; exit.ts is not loaded yet. */
const EXIT_UNAVAILABLE = 69

if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN) {
  process.stderr.write(
    `lockstep: Node.js ${NODE_MAJOR_MIN} or newer is needed, ${process.execPath} is v${process.versions.node}; ` +
      'start it by bin/lockstep, which takes the Node.js that npm ci installs\n',
  )
  process.exitCode = EXIT_UNAVAILABLE
} else process.exitCode = await start()

async function start(): Promise<number> {
  // A SIGHUP never ends the daemon. Node.js undoes what the launcher ignores, so that this comes before all else.
  if (process.argv.includes('serve')) process.on('SIGHUP', () => undefined)
  // No file that it creates is readable by everybody, with any umask of the caller.
  process.umask(0o027)
  const { enableCompileCache } = await import('node:module')
  if (import.meta.url.endsWith('.js')) enableCompileCache(fileURLToPath(new URL('.cache', import.meta.url)))
  const { BARE_REASONS_VARIABLE, renderBareCodes } = await import('../core/wording.ts')
  renderBareCodes(process.env[BARE_REASONS_VARIABLE] === '1')
  const { main } = await import('./main.ts')
  const { processIo } = await import('./terminal/io.ts')
  return main(process.argv.slice(2), processIo())
}
