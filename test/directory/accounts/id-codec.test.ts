import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseAccountId } from '../../../src/core/names.ts'
import { idCodecOf } from '../../../src/directory/accounts/id-codec.ts'

describe('the ids of accounts', () => {
  const guid = idCodecOf('objectGUID')

  it('shows an objectGUID as the tools of Active Directory do', () => {
    const bytes = Buffer.from('33221100554477668899aabbccddeeff', 'hex')
    expect(guid.decode(bytes)).toBe('00112233-4455-6677-8899-aabbccddeeff')
  })

  it('asks for an objectGUID by the bytes that it was read as, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const id = guid.decode(bytes)
        expect(id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
        if (id === null) throw new Error('it is none')
        expect(guid.isOwn(id)).toBe(true)
        expect(Uint8Array.from(Buffer.from(guid.encode(id)))).toEqual(bytes)
      }),
    )
  })

  it('reads an objectGUID whose bytes happen to be text', () => {
    expect(guid.decode('abcdefghijklmnop')).toBe('64636261-6665-6867-696a-6b6c6d6e6f70')
  })

  it('takes nothing of another length for an objectGUID', () => {
    expect(guid.decode('0b6c0000-0000-4000-8000-000000000001')).toBeNull()
  })

  it('knows the form of an id of 389-DS, and of a UUID elsewhere', () => {
    const own = (attribute: string, text: string) => {
      const id = parseAccountId(text)
      return id !== null && idCodecOf(attribute).isOwn(id)
    }
    expect(own('nsUniqueId', '6b1ff281-e84d11f0-9c2ed45b-7d2a9c44')).toBe(true)
    expect(own('nsuniqueid', '0b6c0000-0000-4000-8000-000000000001')).toBe(false)
    expect(own('entryUUID', '0b6c0000-0000-4000-8000-000000000001')).toBe(true)
    expect(own('ipaUniqueID', 'alice')).toBe(false)
  })
})
