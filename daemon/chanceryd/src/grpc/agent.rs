//! `AgentService`.

use std::pin::Pin;
use std::sync::Arc;

use chancery_proto::v1::agent_service_server::AgentService;
use chancery_proto::v1::{AttendRequest, AttendResponse, Question};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use super::{call, convert, errors};
use crate::ops::{self, Context};

/// The service.
pub(super) struct Agents {
    context: Arc<Context>,
}

impl Agents {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl AgentService for Agents {
    type AttendStream = Pin<Box<dyn Stream<Item = Result<AttendResponse, Status>> + Send>>;

    async fn attend(&self, request: Request<Streaming<AttendRequest>>) -> Result<Response<Self::AttendStream>, Status> {
        let call = call::of(&request, "chancery.v1.AgentService/Attend")?;
        let attending = ops::agents::attend(&self.context, &call);
        let (questions, answers) = attending.map_err(|error| errors::status(&error, &call.request_id))?;
        let mut requests = request.into_inner();
        let (fault, faults) = mpsc::channel(1);
        // Ends with the call, and with the daemon: a caller who may still answer would hold up the stop.
        tokio::spawn(async move {
            loop {
                let request = tokio::select! {
                    biased;
                    () = answers.over() => return,
                    request = requests.message() => request,
                };
                let AttendRequest { question_id, pin } = match request {
                    Ok(Some(answer)) => answer,
                    Ok(None) => return,
                    Err(status) => {
                        let error = errors::of_transport(&status, false);
                        // Its caller may have gone.
                        let _ = fault.try_send(errors::status(&error, &call.request_id));
                        return;
                    }
                };
                // One that cannot be a PIN is as good as a refusal.
                answers.give(question_id, convert::pin("pin", pin).unwrap_or(None));
            }
        });
        // With the answers the questions end.
        let questions = questions.map(|question| Ok(describe(question)));
        Ok(Response::new(Box::pin(
            questions.chain(ReceiverStream::new(faults).map(Err)),
        )))
    }
}

fn describe(question: ops::agents::Question) -> AttendResponse {
    AttendResponse {
        question: Some(Question {
            question_id: question.id,
            token: convert::token_name(&question.token),
            key: convert::key_name(&question.key),
            identity: question
                .identity
                .as_deref()
                .map(convert::identity_name)
                .unwrap_or_default(),
            operation: question.operation.to_string(),
            caller: question.caller,
            request_id: question.request_id,
            expire_time: Some(question.expires.into()),
        }),
    }
}
