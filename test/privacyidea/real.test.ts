import { releaseOfRun } from '../support/privacyidea-world.ts'
import { runReal } from './run-contract.ts'

runReal(releaseOfRun())
