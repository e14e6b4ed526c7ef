import { spawn } from 'node:child_process'
import { once } from 'node:events'

// Numbers of Linux: F_SETLEASE, F_WRLCK. The signal says that somebody wants the file.
const PROGRAM =
  '$| = 1; $SIG{IO} = "IGNORE"; open(F, "+<", $ARGV[0]) or die; fcntl(F, 1024, 1) or die; print "held\\n"; sleep'

/** While `act` runs, another program holds a write lease on the file: to open it without waiting gives EAGAIN. */
export async function withLease(file: string, act: () => Promise<void>): Promise<void> {
  const child = spawn('perl', ['-e', PROGRAM, file], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  try {
    await Promise.race([once(child.stdout, 'data'), ended.then(() => Promise.reject(new Error('there is no lease')))])
    await act()
  } finally {
    child.kill()
    await ended
  }
}
