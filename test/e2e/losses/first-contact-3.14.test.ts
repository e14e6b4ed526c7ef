import { firstContactTests } from './first-contact.ts'

firstContactTests('3.14')
