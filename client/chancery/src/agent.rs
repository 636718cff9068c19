//! Attending to questions: who wants which key for what, and may have the token's PIN for it.

use bytes::Bytes;
use chancery_proto::v1::agent_service_client::AgentServiceClient;
use chancery_proto::v1::{AttendRequest, AttendResponse, Question};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::client::pages::UNARY_LEN;
use crate::{Client, Error, Pin};

/// Answers on their way.
const QUEUE_LEN: usize = 4;

impl Client {
    /// Attends to questions, as long as the [`Agent`] lives: the daemon asks for a PIN that its policy wants and that did not come
    /// with a call, if this caller has a grant for the same.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] as the daemon says.
    pub async fn attend(&self) -> Result<Agent, Error> {
        let mut client = AgentServiceClient::new(self.channel()).max_decoding_message_size(UNARY_LEN);
        let (answers, requests) = mpsc::channel(QUEUE_LEN);
        let questions = client.attend(ReceiverStream::new(requests)).await?.into_inner();
        Ok(Agent { questions, answers })
    }
}

/// A call of [`Client::attend`]. Dropped, it ends.
#[derive(Debug)]
pub struct Agent {
    questions: Streaming<AttendResponse>,
    answers: mpsc::Sender<AttendRequest>,
}

impl Agent {
    /// The next question; `None` when the daemon stops.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if the connection broke, [`Error::Failed`] as the daemon says.
    pub async fn next(&mut self) -> Result<Option<Question>, Error> {
        while let Some(response) = self.questions.message().await? {
            if response.question.is_some() {
                return Ok(response.question);
            }
        }
        Ok(None)
    }

    /// Answers a question with a PIN, or refuses without one. Nothing comes of an answer to a question that has expired.
    pub async fn answer(&self, question: &Question, pin: Option<Pin>) {
        let answer = AttendRequest {
            question_id: question.question_id,
            pin: pin.map_or_else(Bytes::new, Pin::into_bytes),
        };
        // If the call is over, the next question says so.
        let _over = self.answers.send(answer).await;
    }
}
