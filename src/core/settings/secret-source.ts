/** Where a secret comes from; exactly one of the two. */
export type SecretSource = { readonly file: string } | { readonly env: string }
