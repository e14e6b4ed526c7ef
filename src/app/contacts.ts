import { parseMailAddress } from '../core/mail/mail-address.ts'
import { preferredLanguage } from '../core/mail/mail-language.ts'
import type { OwnerMailSettings } from '../core/settings/mail-settings.ts'
import { AppError } from '../core/error.ts'
import type { AccountKey } from '../core/names.ts'
import type { AttributePort } from '../ports/directory.ts'
import type { Contact, ContactPort } from '../ports/store/mail.ts'
import type { PrivacyIdeaPort } from '../ports/privacyidea.ts'
import type { SnapshotPort } from '../ports/store/store.ts'

/** Where an owner's mail goes: by their account in the directory, or by their user in privacyIDEA. */
export function openContacts(
  settings: OwnerMailSettings,
  directory: AttributePort,
  source: { readonly source: PrivacyIdeaPort; readonly snapshots: SnapshotPort } | null,
): ContactPort {
  return {
    async ofOwner(account) {
      if (settings.from === 'directory') return addressInDirectory(settings, directory, account)
      if (source === null)
        throw new AppError('config-invalid', 'mail.owner.from is privacyidea, which is not configured')
      return byPrivacyIdea(source, account)
    },
  }
}

export async function addressInDirectory(
  { addressAttribute, languageAttribute, nameAttribute }: OwnerMailSettings,
  directory: AttributePort,
  account: AccountKey,
): Promise<Contact> {
  const names = [addressAttribute, languageAttribute, nameAttribute]
  const found = await directory.attributesOf(account, names)
  const language = found.get(languageAttribute)
  return {
    address: parseMailAddress((found.get(addressAttribute) ?? '').trim()),
    language: language === undefined ? null : preferredLanguage(language),
    name: found.get(nameAttribute) ?? '',
  }
}

async function byPrivacyIdea(
  { source, snapshots }: { readonly source: PrivacyIdeaPort; readonly snapshots: SnapshotPort },
  account: AccountKey,
): Promise<Contact> {
  const { owner } = await snapshots.knownOf(account)
  const { login, realm } = owner
  const found = login === null || realm === null ? null : await source.userDetails({ ...owner, login, realm })
  if (found === null) return { address: null, language: null, name: '' }
  return { address: parseMailAddress(found.mail.trim()), language: null, name: found.name }
}
