//! `IdentityService`.

use std::sync::Arc;

use bytes::Bytes;
use chancery_proto::v1::identity_service_server::IdentityService;
use chancery_proto::v1::{
    GetIdentityRequest, GetIdentityResponse, Identity, IdentityKey, ListIdentitiesRequest, ListIdentitiesResponse,
};
use tonic::{Request, Response, Status};

use super::{call, convert};
use crate::ops::{self, Context, PageRequest};

/// The service.
pub(super) struct Identities {
    context: Arc<Context>,
}

impl Identities {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl IdentityService for Identities {
    async fn list_identities(
        &self,
        request: Request<ListIdentitiesRequest>,
    ) -> Result<Response<ListIdentitiesResponse>, Status> {
        let call = call::of(&request, "chancery.v1.IdentityService/ListIdentities")?;
        let request = request.into_inner();
        let work = async {
            let page = PageRequest::new(request.page_size, &request.page_token)?;
            let page = ops::identities::list(&self.context, &call, &page).await?;
            Ok(ListIdentitiesResponse {
                identities: page.entries.iter().map(identity).collect(),
                next_page_token: page.next_page_token,
            })
        };
        call::within(&call, work).await.map(Response::new)
    }

    async fn get_identity(
        &self,
        request: Request<GetIdentityRequest>,
    ) -> Result<Response<GetIdentityResponse>, Status> {
        let call = call::of(&request, "chancery.v1.IdentityService/GetIdentity")?;
        let work = async {
            let address = convert::address("name", &request.get_ref().name)?;
            let described = ops::identities::find(&self.context, &call, &address).await?;
            Ok(GetIdentityResponse {
                identity: Some(identity(&described)),
            })
        };
        call::within(&call, work).await.map(Response::new)
    }
}

fn identity(described: &ops::identities::Described) -> Identity {
    Identity {
        name: convert::identity_name(&described.address),
        signing: described.signing.as_ref().map(key),
        encryption: described.encryption.as_ref().map(key),
        former_decryption: described.former_decryption.iter().map(key).collect(),
    }
}

fn key(described: &ops::identities::DescribedKey) -> IdentityKey {
    IdentityKey {
        key: convert::key_name(&described.key),
        certificate: Bytes::copy_from_slice(described.certificate.der()),
        issuers: described
            .issuers
            .iter()
            .map(|issuer| Bytes::copy_from_slice(issuer.der()))
            .collect(),
        available: described.available,
    }
}
