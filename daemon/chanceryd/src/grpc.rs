//! The contract, served: each handler translates a request, calls one operation, and translates what it answers. Nothing
//! is decided here.
//!
//! Errors become statuses in one place, `errors`, and `complete` sees to it that no other status leaves. The caller, the request
//! id, the time and the deadline of a call are found in one place, `call`.

mod agent;
mod answer;
mod brought;
mod call;
mod complete;
mod convert;
mod errors;
mod identity;
mod key;
mod mail;
mod report;
mod stall;
mod standard;
mod token;

use std::sync::Arc;

use chancery_proto::v1::agent_service_server::AgentServiceServer;
use chancery_proto::v1::identity_service_server::IdentityServiceServer;
use chancery_proto::v1::key_service_server::KeyServiceServer;
use chancery_proto::v1::mail_service_server::MailServiceServer;
use chancery_proto::v1::token_service_server::TokenServiceServer;
use tonic::service::Routes;

pub use brought::BroughtLayer;
pub use complete::StatusLayer;
pub use standard::with_health_and_reflection;

use crate::ops::Context;

/// The five services of `chancery.v1` over one context.
#[must_use]
pub fn services(context: Arc<Context>) -> Routes {
    let limit = context.settings.request_bytes;
    let key = KeyServiceServer::new(key::Keys::new(Arc::clone(&context)));
    let mail = MailServiceServer::new(mail::Mail::new(Arc::clone(&context)));
    let identity = IdentityServiceServer::new(identity::Identities::new(Arc::clone(&context)));
    let agent = AgentServiceServer::new(agent::Agents::new(Arc::clone(&context)));
    let token = TokenServiceServer::new(token::Tokens::new(context));
    Routes::default()
        .add_service(key.max_decoding_message_size(limit))
        .add_service(mail.max_decoding_message_size(limit))
        .add_service(identity.max_decoding_message_size(limit))
        .add_service(agent.max_decoding_message_size(limit))
        .add_service(token.max_decoding_message_size(limit))
}
