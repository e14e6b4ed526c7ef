const LOOPBACK_IPV4 = /^127(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/

/**
 * True for this machine itself, by an address or as `localhost`; an IPv6 address with or without its brackets. A name is
 * never taken for an address: `127.example.org` may be anywhere.
 */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || LOOPBACK_IPV4.test(host)
}
