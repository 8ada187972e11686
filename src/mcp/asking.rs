//! Puts questions to the person at a client: by a request to the client where a connection is kept,
//! and from 2026-07-28 on as the end of a call that comes again with the answer.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rmcp::{
    RoleServer,
    model::{
        CallToolResponse, CallToolResult, ClientCapabilities, ClientResult, ElicitRequest,
        ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationSchema, InputRequest,
        InputRequests, InputRequiredResult, InputResponses, ProtocolVersion, ServerRequest,
    },
    service::{Peer, PeerRequestOptions, RequestContext, ServiceError},
};
use tokio::sync::mpsc;

use super::handler::{AnswersOnce, beside};
use crate::{
    answer::clean,
    tools::asking::{Accepted, Asked, Pending, Reply},
};

/// The one question of a call.
const KEY: &str = "approval";
/// How a client names itself, in the journal.
const LONGEST_NAME: usize = 60;
/// An answer that takes longer approves nothing.
const VALID_FOR: Duration = Duration::from_secs(30 * 60);
/// Questions that are remembered, the newest.
const MOST: usize = 256;

/// What a call brought of an earlier one.
#[derive(Default)]
pub(super) struct Brought {
    pub responses: InputResponses,
    pub state: Option<String>,
}

/// Questions that went out and were not answered yet. An answer counts once, and only to one of them.
#[derive(Default)]
pub(super) struct PutQuestions(Mutex<VecDeque<(String, Instant)>>);

impl PutQuestions {
    fn put(&self, about: &str) {
        self.with(|all| {
            all.retain(|(known, _)| known != about);
            all.push_back((about.to_owned(), Instant::now()));
            if all.len() > MOST {
                all.pop_front();
            }
        });
    }

    /// Whether it was put and may still be answered; from now on no more.
    fn take(&self, about: &str) -> bool {
        self.with(|all| {
            let at = all.iter().position(|(known, _)| known == about);
            let taken = at.and_then(|at| all.remove(at));
            taken.is_some_and(|(_, put)| put.elapsed() < VALID_FOR)
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut VecDeque<(String, Instant)>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How a person is reached by this request.
enum Way {
    /// A request to the client, and its answer.
    Request(Box<Peer<RoleServer>>),
    /// The call ends with the question.
    EndOfCall,
}

/// What asks the person at the client of one call.
pub(super) struct Asking<'a> {
    way: Option<Way>,
    brought: Mutex<Brought>,
    put: &'a PutQuestions,
    /// As it names itself.
    client: String,
    /// The question that goes out in the place of the answer.
    going_out: Mutex<Option<Asked>>,
}

impl<'a> Asking<'a> {
    pub(super) fn of(
        context: &RequestContext<RoleServer>,
        brought: Brought,
        put: &'a PutQuestions,
    ) -> Self {
        let client = context.client_info().map_or_else(
            || "an MCP client".to_owned(),
            |info| {
                let words: Vec<&str> = info.name.split_whitespace().collect();
                clean::text(&words.join(" "), LONGEST_NAME)
            },
        );
        Self {
            way: way(context),
            brought: Mutex::new(brought),
            put,
            client,
            going_out: Mutex::default(),
        }
    }

    pub(super) fn is_possible(&self) -> bool {
        self.way.is_some()
    }

    /// Puts each question as it comes.
    pub(super) async fn serve(&self, mut questions: mpsc::Receiver<Pending>) -> Infallible {
        while let Some((question, reply)) = questions.recv().await {
            // Who asked may be gone by now.
            let _ = reply.send(self.ask(question).await);
        }
        std::future::pending().await
    }

    async fn ask(&self, question: Asked) -> Reply {
        match &self.way {
            None => Reply::None("this client cannot put a question to a person".into()),
            Some(Way::Request(peer)) => self.request(peer, question).await,
            Some(Way::EndOfCall) => self.end_of_call(question),
        }
    }

    async fn request(&self, peer: &Peer<RoleServer>, question: Asked) -> Reply {
        let left = question.until.saturating_duration_since(Instant::now());
        let options = PeerRequestOptions::with_timeout(left);
        let request = ServerRequest::ElicitRequest(form(question.message));
        let answered = match peer.send_request_with_option(request, options).await {
            Ok(asked) => asked.await_response().await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(ClientResult::ElicitResult(result)) => self.reply(&result, false),
            Ok(_) => Reply::None("the client's answer to the question could not be read".into()),
            Err(ServiceError::Timeout { .. }) => Reply::None(format!(
                "the person did not answer within {} s",
                left.as_secs()
            )),
            Err(error) => {
                tracing::debug!(%error, "A question could not be put to a person");
                Reply::None("the client did not put the question to a person".into())
            }
        }
    }

    /// The answer that the call brought; without one the question goes out.
    fn end_of_call(&self, question: Asked) -> Reply {
        let brought = {
            let mut held = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *held)
        };
        let (response, state) = (brought.responses.get(KEY), brought.state);
        if response.is_none() && state.is_none() {
            let mut going_out = self
                .going_out
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *going_out = Some(question);
            return Reply::GoesOut;
        }
        let is_of_this = state.as_deref() == Some(question.about.as_str());
        if !is_of_this || !self.put.take(&question.about) {
            return Reply::OfAnother;
        }
        let result = response.and_then(|response| serde_json::from_value(response.clone()).ok());
        match result {
            Some(result) => self.reply(&result, true),
            None => Reply::None("the client's answer to the question could not be read".into()),
        }
    }

    fn reply(&self, result: &ElicitResult, came_again: bool) -> Reply {
        match result.action {
            ElicitationAction::Accept => Reply::Accepted(Accepted {
                by: format!("the person at {}", self.client),
                came_again,
            }),
            ElicitationAction::Decline => Reply::Declined,
            // One that this version does not know is no decision.
            _ => Reply::Cancelled,
        }
    }

    /// The result of a call, or the question that stands in its place.
    pub(super) fn instead_of(self, result: CallToolResult) -> CallToolResponse {
        let going_out = self.going_out.into_inner();
        let Some(question) = going_out.unwrap_or_else(PoisonError::into_inner) else {
            return result.into();
        };
        if result.is_error == Some(true) {
            return result.into();
        }
        self.put.put(&question.about);
        let mut requests = InputRequests::new();
        let request = InputRequest::Elicitation(form(question.message));
        requests.insert(KEY.to_owned(), request);
        InputRequiredResult::new(Some(requests), Some(question.about)).into()
    }
}

/// What a client shows: the words, and nothing to fill in.
fn form(message: String) -> ElicitRequest {
    ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message,
        requested_schema: ElicitationSchema::new(Default::default()),
    })
}

/// Whether and how this client shows a form to a person.
fn way(context: &RequestContext<RoleServer>) -> Option<Way> {
    let shows_forms = |can: ClientCapabilities| {
        // Before there were two kinds, an empty capability meant the form.
        can.elicitation
            .is_some_and(|can| can.form.is_some() || can.url.is_none())
    };
    let is_new = context
        .protocol_version()
        .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
    if is_new {
        return context
            .client_capabilities()
            .is_some_and(shows_forms)
            .then_some(Way::EndOfCall);
    }
    // What a client said when its session began: one without a session has no way back.
    let info = context.peer.peer_info()?;
    let has_room = beside::<AnswersOnce>(context).is_none();
    (has_room && shows_forms(info.capabilities.clone()))
        .then(|| Way::Request(Box::new(context.peer.clone())))
}
