import { apiLifeTests } from './api-life.ts'

apiLifeTests('3.11')
