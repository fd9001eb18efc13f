"""The people of the company that runs the gateway: who they are, what they may do, and how they sign in.

A company's signing key is nobody's way in: people sign in with a passkey (WebAuthn), or with their account at the
company's OpenID Connect provider. An administrator invites them, with a role. See ACCESS.md, "People".

    people.People          invitations, roles, removal
    passkeys.Passkeys      registers and recognises passkeys
    openid.OpenId          signs in with an account at the company's provider
"""
