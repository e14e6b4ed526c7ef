import { readdirSync, readFileSync } from 'node:fs'
import { openBenchDirectory, rateOf } from './bench-directory.ts'
import { createBenchInstance } from './bench-instance.ts'
import { driveLockstep } from './load.ts'
import { workshopIn } from './scale.ts'
import { makeTempDir } from '../test/servers/temp-dir.ts'
import { spreadFolders } from './block-groups.ts'
await using tmp = await makeTempDir('cpu'); const dir = tmp.path; process.env['TMPDIR'] = dir
await spreadFolders(dir)
const workshop = workshopIn(dir)
const N = Number(process.argv[2] ?? 1500), ROUNDS = 2
await using directory = await openBenchDirectory(500 + N * ROUNDS)
await using instance = await createBenchInstance(workshop, 'cpu', directory.slapd)
const { pid } = await instance.serve()
const threads = () => new Map(readdirSync(`/proc/${pid}/task`).map((tid) => { const f = readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8'); const r = f.slice(f.lastIndexOf(')') + 2).split(' '); const sched = readFileSync(`/proc/${pid}/task/${tid}/schedstat`,'utf8').split(' '); return [f.slice(f.indexOf('('), f.lastIndexOf(')') + 1) + tid, [Number(r[11]) * 10, Number(r[12]) * 10, Number(sched[0])/1e6, Number(sched[1])/1e6]] }))
await driveLockstep(instance, directory, 'lock', 1, 500)
for (let r = 0; r < ROUNDS; r++) {
  const a = threads()
  const times = await driveLockstep(instance, directory, 'lock', 501 + r * N, N)
  const b = threads()
  console.log('rate', rateOf(times).toFixed(0))
  for (const [k, v] of b) { const w = a.get(k) ?? [0, 0, 0, 0]; const d = v.map((x, i) => x - w[i]!); if (d[2]! > 20) console.log(k.padEnd(24), 'us/lock cpu', ((d[2]! / N) * 1000).toFixed(0), 'user', ((d[0]! / N) * 1000).toFixed(0), 'sys', ((d[1]! / N) * 1000).toFixed(0), 'runq-wait', ((d[3]!/N)*1000).toFixed(0)) }
}
