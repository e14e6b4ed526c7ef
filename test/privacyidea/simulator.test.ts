import { runSimulated } from './run-contract.ts'

runSimulated('3.11')
runSimulated('3.12')
runSimulated('3.13')
runSimulated('3.14')
