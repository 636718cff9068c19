//! `TokenService`.

mod activity;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use chancery_proto::v1::token_service_server::TokenService;
use chancery_proto::v1::{
    ChangePinRequest, ChangePinResponse, DrainReason, ListTokensRequest, ListTokensResponse, LockTokenRequest,
    LockTokenResponse, PinStatus, Token, TokenState, UnlockTokenRequest, UnlockTokenResponse, WatchTokensRequest,
};
use chancery_token as token;
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use super::brought::Confidence;
use super::{call, convert, errors};
use crate::ops::tokens::Terms;
use crate::ops::{self, Context, PageRequest};
use watching::Watching;

/// The service.
pub(super) struct Tokens {
    context: Arc<Context>,
}

impl Tokens {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl TokenService for Tokens {
    type WatchTokensStream = Watching;

    async fn list_tokens(&self, request: Request<ListTokensRequest>) -> Result<Response<ListTokensResponse>, Status> {
        let call = call::of(&request, "chancery.v1.TokenService/ListTokens")?;
        let request = request.into_inner();
        let work = async {
            let page = PageRequest::new(request.page_size, &request.page_token)?;
            let page = ops::tokens::list(&self.context, &call, &page)?;
            Ok(ListTokensResponse {
                tokens: page.entries.into_iter().map(describe).collect(),
                next_page_token: page.next_page_token,
            })
        };
        call::within(&call, work).await.map(Response::new)
    }

    async fn unlock_token(
        &self,
        request: Request<UnlockTokenRequest>,
    ) -> Result<Response<UnlockTokenResponse>, Status> {
        let call = call::of(&request, "chancery.v1.TokenService/UnlockToken")?;
        Confidence::of(&request).wipe_if(&[&request.get_ref().pin]);
        let UnlockTokenRequest {
            name,
            pin,
            expire_after,
            max_uses,
            even_if_unanswered,
        } = request.into_inner();
        let pin = Zeroizing::new(Vec::from(pin));
        let work = async {
            let expire_after = expire_after.map(|time| convert::duration(["expire_after", "expire_after.nanos"], time));
            let terms = Terms {
                expire_after: expire_after.transpose()?,
                max_uses: Some(max_uses).filter(|uses| *uses != 0),
            };
            let name = convert::token(&name)?;
            let token = ops::tokens::unlock(&self.context, &call, name, pin, terms, even_if_unanswered).await?;
            Ok(UnlockTokenResponse {
                token: Some(describe(token)),
            })
        };
        call::within(&call, work).await.map(Response::new)
    }

    async fn change_pin(&self, request: Request<ChangePinRequest>) -> Result<Response<ChangePinResponse>, Status> {
        let call = call::of(&request, "chancery.v1.TokenService/ChangePin")?;
        let ChangePinRequest { old_pin, new_pin, .. } = request.get_ref();
        Confidence::of(&request).wipe_if(&[old_pin, new_pin]);
        let ChangePinRequest { name, old_pin, new_pin } = request.into_inner();
        let [old, new] = [old_pin, new_pin].map(|pin| Zeroizing::new(Vec::from(pin)));
        let work = async {
            let changed = ops::tokens::change_pin(&self.context, &call, convert::token(&name)?, old, new).await?;
            Ok(ChangePinResponse {
                token: Some(describe(changed.token)),
                configured_in: changed.configured_in.unwrap_or_default(),
            })
        };
        call::within(&call, work).await.map(Response::new)
    }

    async fn lock_token(&self, request: Request<LockTokenRequest>) -> Result<Response<LockTokenResponse>, Status> {
        let call = call::of(&request, "chancery.v1.TokenService/LockToken")?;
        let LockTokenRequest { name, drain } = request.into_inner();
        let work = async {
            let token = ops::tokens::lock(&self.context, &call, convert::token(&name)?, drain).await?;
            Ok(LockTokenResponse {
                token: Some(describe(token)),
            })
        };
        call::within(&call, work).await.map(Response::new)
    }

    async fn watch_tokens(&self, request: Request<WatchTokensRequest>) -> Result<Response<Watching>, Status> {
        let call = call::of(&request, "chancery.v1.TokenService/WatchTokens")?;
        let refresh = request.into_inner().refresh_interval;
        // One that is negative is as short as any that is too short.
        let refresh = refresh.map(|interval| Duration::try_from(interval).unwrap_or(Duration::ZERO));
        let watch = ops::tokens::watch(Arc::clone(&self.context), call.clone(), refresh);
        let watch = watch.map_err(|error| errors::status(&error, &call.request_id))?;
        Ok(Response::new(Watching::new(call, watch)))
    }
}

fn describe(described: ops::tokens::Described) -> Token {
    let status = described.status;
    let state = match status.state {
        token::TokenState::Starting => TokenState::Unspecified,
        token::TokenState::Absent => TokenState::Absent,
        token::TokenState::Locked => TokenState::Locked,
        token::TokenState::Ready => TokenState::Ready,
        token::TokenState::Failed => TokenState::Failed,
    };
    let pin_status = match status.pin {
        token::PinStatus::Ok => PinStatus::Unspecified,
        token::PinStatus::CountLow => PinStatus::CountLow,
        token::PinStatus::FinalTry => PinStatus::FinalTry,
        token::PinStatus::Locked => PinStatus::Locked,
    };
    let (drain_reason, drained) = match described.drain {
        None => (DrainReason::Unspecified, ""),
        Some(token::Drain::ByHand) => (
            DrainReason::Lock,
            "it takes no new work until it is unlocked: it was drained to be locked",
        ),
        Some(token::Drain::Maintenance) => (
            DrainReason::Maintenance,
            "it takes no new work: it is in maintenance, says the configuration",
        ),
    };
    let details = [status.detail.as_str(), drained].into_iter();
    let details: Vec<&str> = details.filter(|detail| !detail.is_empty()).collect();
    Token {
        name: convert::token_name(&described.name),
        state: state.into(),
        detail: details.join("; "),
        last_error: status.last_error.unwrap_or_default().into_owned(),
        module: status.module,
        label: status.label,
        serial_number: status.serial,
        manufacturer: status.manufacturer,
        model: status.model,
        key_count: u32::try_from(status.key_count).unwrap_or(u32::MAX),
        sessions: u32::try_from(status.sessions).unwrap_or(u32::MAX),
        generation: status.generation,
        pin_status: pin_status.into(),
        unlock_expire_time: described.lease.and_then(|lease| lease.expires).map(Into::into),
        unlock_uses_left: described.lease.and_then(|lease| lease.uses),
        drain_reason: drain_reason.into(),
        protected_authentication_path: status.protected_authentication_path,
        jobs_waiting: u32::try_from(described.jobs_waiting).unwrap_or(u32::MAX),
        jobs_running: u32::try_from(described.jobs_running).unwrap_or(u32::MAX),
        worker_restarts: described.worker_restarts,
        activity: described.activity.as_ref().map(activity::of),
    }
}
