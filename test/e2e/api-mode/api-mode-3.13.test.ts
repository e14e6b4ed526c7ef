import { apiModeTests } from './api-mode.ts'

apiModeTests('3.13')
