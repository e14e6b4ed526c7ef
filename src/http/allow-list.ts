import { BlockList, isIP } from 'node:net'

/** Which addresses may call. */
export interface AllowList {
  /** In one of the allowed networks; with none given: loopback. */
  allows(address: string): boolean
}

const LOOPBACK: readonly string[] = ['127.0.0.0/8', '::1/128']

/** @param networks CIDR blocks, IPv4 or IPv6; an IPv4 block also covers the same addresses as `::ffff:a.b.c.d` */
export function newAllowList(networks: readonly string[]): AllowList {
  const list = new BlockList()
  for (const network of networks.length > 0 ? networks : LOOPBACK) {
    const [base = '', prefix = ''] = network.split('/')
    const plain = plainAddress(base)
    const isMapped = plain !== base && base.includes(':')
    list.addSubnet(plain, isMapped ? Math.max(0, Number(prefix) - 96) : Number(prefix), familyOf(plain))
  }
  return {
    allows(address) {
      const plain = plainAddress(address)
      return isIP(plain) !== 0 && list.check(plain, familyOf(plain))
    },
  }
}

/** Without the zone of a link-local address; an IPv4-mapped IPv6 address becomes IPv4 (RFC 4291, 2.5.5.2). */
export function plainAddress(address: string): string {
  const bare = address.split('%', 1)[0] ?? ''
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(bare)?.[1]
  return mapped ?? bare
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4'
}
