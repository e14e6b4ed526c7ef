import { RELEASE_NAMES } from '../releases.ts'
import { runSimulated } from './run-contract.ts'

for (const release of RELEASE_NAMES) runSimulated(release)
