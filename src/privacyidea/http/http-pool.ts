import { Pool } from 'undici'

/**
 * The one place that loads undici, which takes a while: import this file when the first request is made. (An import of
 * undici itself at that time would find nothing by its name in the bundle, since it is CommonJS.)
 */
export function httpPool(origin: string, options: Pool.Options): Pool {
  return new Pool(origin, options)
}
