//! `KeyService`.

use std::sync::Arc;

use chancery_proto::v1::key_service_server::KeyService;
use chancery_proto::v1::{
    AgreeRequest, AgreeResponse, GetKeyRequest, GetKeyResponse, Key, KeyManagementAlgorithm, KeyReplica, KeyRole,
    KeyServiceDecryptRequest, KeyServiceDecryptResponse, KeyServiceSignRequest, KeyServiceSignResponse,
    ListKeysRequest, ListKeysResponse, OaepParameters, key_service_sign_request,
};
use chancery_token::Priority;
use tonic::{Request, Response, Status};

use super::brought::Confidence;
use super::{call, convert};
use crate::directory;
use crate::ops::{self, Context, Invalid, PageRequest};

/// The service.
pub(super) struct Keys {
    context: Arc<Context>,
}

impl Keys {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl KeyService for Keys {
    async fn list_keys(&self, request: Request<ListKeysRequest>) -> Result<Response<ListKeysResponse>, Status> {
        let call = call::of(&request, "chancery.v1.KeyService/ListKeys")?;
        let request = request.into_inner();
        let work = async {
            let page = PageRequest::new(request.page_size, &request.page_token)?;
            let page = ops::keys::list(&self.context, &call, &page).await?;
            Ok(ListKeysResponse {
                keys: page.entries.iter().map(|key| describe(&self.context, key)).collect(),
                next_page_token: page.next_page_token,
            })
        };
        call::within(&call, work).await.map(Response::new)
    }

    async fn get_key(&self, request: Request<GetKeyRequest>) -> Result<Response<GetKeyResponse>, Status> {
        let call = call::of(&request, "chancery.v1.KeyService/GetKey")?;
        let work = async {
            let id = convert::key_id(&request.get_ref().name)?;
            let key = ops::keys::find(&self.context, &call, id).await?;
            Ok(GetKeyResponse {
                key: Some(describe(&self.context, &key)),
            })
        };
        call::within(&call, work).await.map(Response::new)
    }

    async fn sign(&self, request: Request<KeyServiceSignRequest>) -> Result<Response<KeyServiceSignResponse>, Status> {
        let call = call::of(&request, "chancery.v1.KeyService/Sign")?;
        Confidence::of(&request).wipe_shared_if(&request.get_ref().pin);
        let request = request.into_inner();
        let work = async {
            let signed = ops::sign::sign(&self.context, &call, sign_request(request)?).await?;
            Ok(KeyServiceSignResponse {
                signature: signed.signature.into(),
                token: convert::token_name(&signed.token),
            })
        };
        call::within(&call, work).await.map(Response::new)
    }

    async fn decrypt(
        &self,
        request: Request<KeyServiceDecryptRequest>,
    ) -> Result<Response<KeyServiceDecryptResponse>, Status> {
        let call = call::of(&request, "chancery.v1.KeyService/Decrypt")?;
        Confidence::of(&request).wipe_shared_if(&request.get_ref().pin);
        let request = request.into_inner();
        let work = async {
            let decrypted = ops::decrypt::decrypt(&self.context, &call, decrypt_request(request)?).await?;
            Ok(KeyServiceDecryptResponse {
                plaintext: bytes::Bytes::from_owner(decrypted.plaintext),
                token: convert::token_name(&decrypted.token),
            })
        };
        call::within(&call, work).await.map(Response::new)
    }

    async fn agree(&self, request: Request<AgreeRequest>) -> Result<Response<AgreeResponse>, Status> {
        let call = call::of(&request, "chancery.v1.KeyService/Agree")?;
        Confidence::of(&request).wipe_shared_if(&request.get_ref().pin);
        let request = request.into_inner();
        let work = async {
            let agreed = ops::agree::agree(&self.context, &call, agree_request(request)?).await?;
            Ok(AgreeResponse {
                secret: bytes::Bytes::from_owner(agreed.secret),
                token: convert::token_name(&agreed.token),
            })
        };
        call::within(&call, work).await.map(Response::new)
    }
}

fn sign_request(request: KeyServiceSignRequest) -> Result<ops::sign::Request, Invalid> {
    let hint = "give the digest, or the data";
    Ok(ops::sign::Request {
        key: convert::key_id(&request.name)?,
        algorithm: convert::signature_algorithm("algorithm", request.algorithm)?,
        priority: priority(request.priority)?,
        pin: convert::pin("pin", request.pin)?,
        input: match request.input {
            Some(key_service_sign_request::Input::Digest(digest)) => ops::sign::Input::Digest(digest),
            Some(key_service_sign_request::Input::Data(data)) => ops::sign::Input::Data(data),
            None => return Err(Invalid::Missing { field: "input", hint }),
        },
    })
}

fn decrypt_request(request: KeyServiceDecryptRequest) -> Result<ops::decrypt::Request, Invalid> {
    let scheme = match KeyManagementAlgorithm::try_from(request.algorithm) {
        Ok(KeyManagementAlgorithm::RsaPkcs1) => ops::decrypt::Scheme::Pkcs1 {
            plaintext_length: request.plaintext_length,
        },
        Ok(KeyManagementAlgorithm::RsaOaep) => oaep(request.oaep)?,
        _ => {
            return Err(Invalid::Value {
                field: "algorithm",
                value: request.algorithm.into(),
                hint: "take RSA_PKCS1 or RSA_OAEP; for elliptic-curve keys there is Agree",
            });
        }
    };
    Ok(ops::decrypt::Request {
        key: convert::key_id(&request.name)?,
        scheme,
        ciphertext: request.ciphertext,
        priority: priority(request.priority)?,
        pin: convert::pin("pin", request.pin)?,
    })
}

fn oaep(parameters: Option<OaepParameters>) -> Result<ops::decrypt::Scheme, Invalid> {
    let hint = "RSA_OAEP needs its parameters, the digest at least";
    let parameters = parameters.ok_or(Invalid::Missing { field: "oaep", hint })?;
    let digest = convert::required_digest("oaep.digest", parameters.digest)?;
    Ok(ops::decrypt::Scheme::Oaep {
        digest,
        mgf1_digest: convert::digest("oaep.mgf1_digest", parameters.mgf1_digest)?.unwrap_or(digest),
        label: parameters.label,
    })
}

fn agree_request(request: AgreeRequest) -> Result<ops::agree::Request, Invalid> {
    let kdf = request.x963_kdf.map(|kdf| {
        Ok::<_, Invalid>(ops::agree::Kdf {
            digest: convert::required_digest("x963_kdf.digest", kdf.digest)?,
            shared_info: kdf.shared_info,
            length: kdf.length,
        })
    });
    Ok(ops::agree::Request {
        key: convert::key_id(&request.name)?,
        peer_public_key: request.peer_public_key,
        kdf: kdf.transpose()?,
        priority: priority(request.priority)?,
        pin: convert::pin("pin", request.pin)?,
    })
}

fn priority(value: i32) -> Result<Priority, Invalid> {
    Ok(convert::priority("priority", value)?.unwrap_or(Priority::Interactive))
}

fn describe(context: &Context, key: &directory::Key) -> Key {
    let (algorithm, key_bits) = convert::key_algorithm_to_wire(key.algorithm);
    let roles = [(key.roles.sign, KeyRole::Sign), (key.roles.decrypt, KeyRole::Decrypt)];
    let algorithms = ops::keys::signature_algorithms(key)
        .into_iter()
        .map(convert::signature_algorithm_to_wire);
    let replicas = key.replicas.iter().filter_map(|replica| {
        Some(KeyReplica {
            token: convert::token_name(context.directory.token_of(replica)?.name()),
            object_id: replica.object_id.clone().into(),
            object_label: replica.label.clone(),
            always_authenticate: replica.always_authenticate,
            available: context.directory.is_ready(replica),
        })
    });
    Key {
        name: convert::key_name(&key.hex),
        algorithm: algorithm.into(),
        key_bits,
        roles: roles
            .into_iter()
            .filter(|(has, _)| *has)
            .map(|(_, role)| role.into())
            .collect(),
        public_key: key.spki_der.clone().into(),
        certificates: key
            .certificates
            .iter()
            .map(|c| bytes::Bytes::copy_from_slice(c.der()))
            .collect(),
        replicas: replicas.collect(),
        signature_algorithms: algorithms.map(Into::into).collect(),
    }
}
