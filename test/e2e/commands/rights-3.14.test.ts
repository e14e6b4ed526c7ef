import { rightsTests } from './rights.ts'

rightsTests('3.14')
