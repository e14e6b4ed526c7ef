import { writeFileSync } from 'node:fs'
import { chartSvg } from './chart.ts'
import { readHistory } from './history.ts'

/** `npm run bench:chart`: draws docs/pictures/bench.svg from bench/history/. A test fails when it is stale. */
writeFileSync(new URL('../docs/pictures/bench.svg', import.meta.url), chartSvg(readHistory()))
