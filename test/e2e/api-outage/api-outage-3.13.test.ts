import { apiOutageTests } from './api-outage.ts'

apiOutageTests('3.13')
