//! The fake KeyService, IdentityService and TokenService: lists in pages, and one PIN for every token.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chancery::v1;
use tonic::{Code, Request, Response, Status};

use super::{Script, status};

/// What WatchTokens tells; then the daemon stops.
type Changes = tokio_stream::Iter<std::vec::IntoIter<Result<v1::WatchTokensResponse, Status>>>;

pub(crate) struct Lists(pub(crate) Arc<Script>);

impl Lists {
    /// A page, and the token of the next one: the index at which it begins.
    fn page<T: Clone>(&self, items: &[T], page_token: &str) -> Result<(Vec<T>, String), Status> {
        self.allowed()?;
        let start = if page_token.is_empty() {
            0
        } else {
            page_token.parse().unwrap()
        };
        let end = items.len().min(start + self.0.page_len);
        let next = if end == items.len() {
            String::new()
        } else {
            end.to_string()
        };
        Ok((items[start..end].to_vec(), next))
    }

    fn allowed(&self) -> Result<(), Status> {
        self.0.refuse_unary.clone().map_or(Ok(()), Err)
    }

    fn token(&self, name: &str) -> Result<v1::Token, Status> {
        self.allowed()?;
        let found = self.0.tokens.iter().find(|token| token.name == name).cloned();
        found.ok_or_else(|| status(Code::NotFound, "TOKEN_NOT_FOUND", "there is no such token"))
    }
}

#[tonic::async_trait]
impl v1::key_service_server::KeyService for Lists {
    async fn list_keys(&self, request: Request<v1::ListKeysRequest>) -> Result<Response<v1::ListKeysResponse>, Status> {
        let (keys, next_page_token) = self.page(&self.0.keys, &request.into_inner().page_token)?;
        Ok(Response::new(v1::ListKeysResponse { keys, next_page_token }))
    }

    async fn get_key(&self, _: Request<v1::GetKeyRequest>) -> Result<Response<v1::GetKeyResponse>, Status> {
        Ok(Response::new(v1::GetKeyResponse { key: None }))
    }

    async fn sign(
        &self,
        _: Request<v1::KeyServiceSignRequest>,
    ) -> Result<Response<v1::KeyServiceSignResponse>, Status> {
        Err(Status::unimplemented("the client library does not call it"))
    }

    async fn decrypt(
        &self,
        _: Request<v1::KeyServiceDecryptRequest>,
    ) -> Result<Response<v1::KeyServiceDecryptResponse>, Status> {
        Err(Status::unimplemented("the client library does not call it"))
    }

    async fn agree(&self, _: Request<v1::AgreeRequest>) -> Result<Response<v1::AgreeResponse>, Status> {
        Err(Status::unimplemented("the client library does not call it"))
    }
}

#[tonic::async_trait]
impl v1::identity_service_server::IdentityService for Lists {
    async fn list_identities(
        &self,
        request: Request<v1::ListIdentitiesRequest>,
    ) -> Result<Response<v1::ListIdentitiesResponse>, Status> {
        let (identities, next_page_token) = self.page(&self.0.identities, &request.into_inner().page_token)?;
        Ok(Response::new(v1::ListIdentitiesResponse {
            identities,
            next_page_token,
        }))
    }

    async fn get_identity(
        &self,
        request: Request<v1::GetIdentityRequest>,
    ) -> Result<Response<v1::GetIdentityResponse>, Status> {
        self.allowed()?;
        let name = request.into_inner().name;
        match self.0.identities.iter().find(|identity| identity.name == name) {
            Some(identity) => Ok(Response::new(v1::GetIdentityResponse {
                identity: Some(identity.clone()),
            })),
            None => Err(status(
                Code::NotFound,
                "IDENTITY_NOT_FOUND",
                "there is no such identity",
            )),
        }
    }
}

#[tonic::async_trait]
impl v1::token_service_server::TokenService for Lists {
    type WatchTokensStream = Changes;

    async fn watch_tokens(
        &self,
        request: Request<v1::WatchTokensRequest>,
    ) -> Result<Response<Self::WatchTokensStream>, Status> {
        self.allowed()?;
        let first = v1::WatchTokensResponse {
            tokens: self.0.tokens.clone(),
            daemon_version: "1.2.3".to_owned(),
        };
        let rest = self.0.token_changes.iter().map(|tokens| v1::WatchTokensResponse {
            tokens: tokens.clone(),
            daemon_version: String::new(),
        });
        drop(request);
        let responses: Vec<_> = std::iter::once(first).chain(rest).map(Ok).collect();
        Ok(Response::new(tokio_stream::iter(responses)))
    }

    async fn list_tokens(
        &self,
        request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        let (tokens, next_page_token) = self.page(&self.0.tokens, &request.into_inner().page_token)?;
        Ok(Response::new(v1::ListTokensResponse {
            tokens,
            next_page_token,
        }))
    }

    async fn unlock_token(
        &self,
        request: Request<v1::UnlockTokenRequest>,
    ) -> Result<Response<v1::UnlockTokenResponse>, Status> {
        let request = request.into_inner();
        let token = self.token(&request.name)?;
        if request.pin != self.0.pin && !(request.pin.is_empty() && token.protected_authentication_path) {
            return Err(status(
                Code::FailedPrecondition,
                "PIN_INCORRECT",
                "the token refused the PIN",
            ));
        }
        if self.0.wants_insistence && !request.even_if_unanswered {
            return Err(status(
                Code::InvalidArgument,
                "PIN_UNANSWERED",
                "nobody knows whether it is right",
            ));
        }
        // What was asked for comes back, counted from 1970.
        let time = request.expire_after.map(|time| Duration::try_from(time).unwrap());
        let token = v1::Token {
            unlock_expire_time: time.map(|time| (SystemTime::UNIX_EPOCH + time).into()),
            unlock_uses_left: Some(request.max_uses).filter(|uses| *uses != 0),
            ..token
        };
        Ok(Response::new(v1::UnlockTokenResponse { token: Some(token) }))
    }

    async fn change_pin(
        &self,
        request: Request<v1::ChangePinRequest>,
    ) -> Result<Response<v1::ChangePinResponse>, Status> {
        let request = request.into_inner();
        let token = self.token(&request.name)?;
        if request.old_pin != self.0.pin && !(request.old_pin.is_empty() && token.protected_authentication_path) {
            return Err(status(
                Code::InvalidArgument,
                "PIN_INCORRECT",
                "the token refused the PIN",
            ));
        }
        Ok(Response::new(v1::ChangePinResponse {
            token: Some(v1::Token {
                // Nobody but a test may say a PIN.
                detail: String::from_utf8(request.new_pin.to_vec()).unwrap(),
                ..token
            }),
            configured_in: "the file /etc/card.pin".to_owned(),
        }))
    }

    async fn lock_token(
        &self,
        request: Request<v1::LockTokenRequest>,
    ) -> Result<Response<v1::LockTokenResponse>, Status> {
        let v1::LockTokenRequest { name, drain } = request.into_inner();
        let mut token = self.token(&name)?;
        if drain {
            token.set_drain_reason(v1::DrainReason::Lock);
            token.detail = "drained".to_owned();
        }
        Ok(Response::new(v1::LockTokenResponse { token: Some(token) }))
    }
}

#[tonic::async_trait]
impl v1::agent_service_server::AgentService for Lists {
    type AttendStream = tokio_stream::wrappers::ReceiverStream<Result<v1::AttendResponse, Status>>;

    /// Puts one question after the other, the next when the one before has been answered; then the daemon stops.
    async fn attend(
        &self,
        request: Request<tonic::Streaming<v1::AttendRequest>>,
    ) -> Result<Response<Self::AttendStream>, Status> {
        let (sender, questions) = tokio::sync::mpsc::channel(1);
        let (script, mut answers) = (Arc::clone(&self.0), request.into_inner());
        tokio::spawn(async move {
            for question in script.questions.clone() {
                let id = question.question_id;
                let question = Some(question);
                sender.send(Ok(v1::AttendResponse { question })).await.unwrap();
                let answer = answers.message().await.unwrap().unwrap();
                assert_eq!(answer.question_id, id);
                script.answers.lock().unwrap().push(answer.pin.to_vec());
            }
        });
        Ok(Response::new(questions.into()))
    }
}
