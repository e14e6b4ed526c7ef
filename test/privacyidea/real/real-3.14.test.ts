import { runReal } from '../run-contract.ts'

runReal('3.14')
