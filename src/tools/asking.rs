//! Questions that this server puts to the person at a client, beside the call that they belong to.
//!
//! An answer comes from the client's own question to its person and from nowhere else: no argument of
//! a tool is one.

use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

/// What a person is asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What an answer is about. One to anything else counts for nothing.
    pub about: String,
    /// In words of ours.
    pub message: String,
    /// Nobody waits for an answer longer.
    pub until: Instant,
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Accepted(Accepted),
    Declined,
    /// They closed it without a decision.
    Cancelled,
    /// It goes out in the place of this call's answer; the client calls again with what they said.
    GoesOut,
    /// The client brought an answer to a question that is not this one.
    OfAnother,
    /// Why there is no answer.
    None(String),
}

/// Who accepted, as their client names itself, and how they were asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub by: String,
    /// The call ended with the question and came again with the answer.
    pub came_again: bool,
}

/// Where questions of one call go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Asks(mpsc::Sender<Pending>);

/// A question that waits for its reply.
pub type Pending = (Asked, oneshot::Sender<Reply>);

impl Asks {
    /// The two ends. Whoever holds the second puts the questions.
    pub fn new() -> (Self, mpsc::Receiver<Pending>) {
        let (ask, questions) = mpsc::channel(1);
        (Self(ask), questions)
    }

    pub async fn ask(&self, question: Asked) -> Reply {
        let gone = || Reply::None("the client went away".into());
        let (reply, replied) = oneshot::channel();
        if self.0.send((question, reply)).await.is_err() {
            return gone();
        }
        replied.await.unwrap_or_else(|_| gone())
    }
}
