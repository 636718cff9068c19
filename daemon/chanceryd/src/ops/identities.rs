//! `IdentityService.ListIdentities` and `GetIdentity`.

use std::sync::Arc;

use chancery_smime::certificate::Certificate;

use super::{Call, Context, Invalid, OpError, Page, PageRequest};
use crate::directory::{Binding, Identity, Index, normal_address};
use crate::policy::{Operation, Target};

/// An identity with what a client wants to know beside it.
#[derive(Debug)]
pub struct Described {
    /// The identity as of the call.
    pub address: String,
    /// The current signing key.
    pub signing: Option<DescribedKey>,
    /// The current encryption key.
    pub encryption: Option<DescribedKey>,
    /// Every other key that decrypts, the newest first.
    pub former_decryption: Vec<DescribedKey>,
}

/// A key of an identity.
#[derive(Debug)]
pub struct DescribedKey {
    /// The key's name without `keys/`.
    pub key: String,
    /// The certificate that ties it to the mailbox.
    pub certificate: Certificate,
    /// Its known issuers, the closest first.
    pub issuers: Vec<Certificate>,
    /// Whether a token that holds it is there and unlocked.
    pub available: bool,
}

/// The identities that the caller may list, in the order of their addresses.
///
/// # Errors
///
/// [`OpError::Invalid`] for a page token that was not made here.
pub async fn list(context: &Context, call: &Call, page: &PageRequest) -> Result<Page<Described>, OpError> {
    let index = context.directory.index().await;
    let grants = context.grants.load();
    let visible = index
        .addresses_after(page.after.as_deref())
        .filter(|address| {
            let identities = [(*address).to_owned()];
            grants
                .decide(&call.caller, Operation::List, &target(&identities))
                .is_allowed()
        })
        .filter_map(|address| index.identity(address, call.now))
        .map(|identity| describe(context, &index, &identity));
    Ok(page.fill(visible, |described| described.address.clone()))
}

/// One identity, by its addr-spec.
///
/// # Errors
///
/// [`OpError::NotPermitted`] if the caller may not list it, whether it exists or not; [`OpError::IdentityNotFound`] only
/// to those who may.
pub async fn find(context: &Context, call: &Call, address: &str) -> Result<Described, OpError> {
    let index = context.directory.index().await;
    let (identity, _) = authorized(context, call, &index, address, Operation::List)?;
    Ok(describe(context, &index, &identity))
}

/// The identity that a request names and the grant that lets the caller do `operation` for it. Without a grant for it, an
/// identity that exists and one that does not have the same answer.
pub(super) fn authorized(
    context: &Context,
    call: &Call,
    index: &Index,
    address: &str,
    operation: Operation,
) -> Result<(Identity, Arc<str>), OpError> {
    let identities = [normal(address)?];
    let grant = context.authorize(call, operation, &target(&identities))?;
    let [address] = identities;
    let identity = index
        .identity(&address, call.now)
        .ok_or(OpError::IdentityNotFound(address))?;
    Ok((identity, grant))
}

fn normal(address: &str) -> Result<String, Invalid> {
    normal_address(address).ok_or_else(|| Invalid::name("identity", "identities/{addr-spec}", address))
}

/// A request that names an identity, as grants see it.
fn target(identities: &[String; 1]) -> Target<'_> {
    Target { key: None, identities }
}

fn describe(context: &Context, index: &Index, identity: &Identity) -> Described {
    let one = |binding: &Binding| DescribedKey {
        key: binding.key.hex.clone(),
        certificate: binding.certificate.clone(),
        issuers: index.issuers(&binding.certificate),
        available: context.directory.is_available(&binding.key),
    };
    Described {
        address: identity.address.clone(),
        signing: identity.signing.as_ref().map(one),
        encryption: identity.encryption.as_ref().map(one),
        former_decryption: identity.former_decryption.iter().map(one).collect(),
    }
}
