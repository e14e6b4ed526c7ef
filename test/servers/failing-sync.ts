import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

/**
 * Loaded before the program: the n-th sync of the store's log (FAIL_SYNC_AT) fails, as on a broken disk, and those after
 * it do not: the system tells of a failed write once. With FAIL_SYNC_FILE, they count only while that file is there.
 */

const real = fs.fdatasync
const failAt = Number(process.env['FAIL_SYNC_AT'] ?? '1')
const flag = process.env['FAIL_SYNC_FILE']
let count = 0

function failing(fd: number, done: fs.NoParamCallback): void {
  const isLog = fs.readlinkSync(`/proc/self/fd/${fd}`).endsWith('-wal')
  const counts = isLog && (flag === undefined || fs.existsSync(flag))
  if (!counts || ++count !== failAt) real(fd, done)
  else process.nextTick(done, Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }))
}

Object.assign(fs, { fdatasync: failing })
syncBuiltinESMExports()
