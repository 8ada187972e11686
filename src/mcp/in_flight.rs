//! The ids of requests that are being answered on one connection.
//!
//! The protocol library keeps one request an id: of two that run at once under the same id it
//! answers one, and whoever waits for the other waits for ever. The second is refused instead.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use rmcp::{
    ErrorData,
    model::{ClientJsonRpcMessage, ClientNotification, RequestId, ServerJsonRpcMessage},
};
use serde_json::Value;

use super::messages::refusal;

/// How many cancelled ids are remembered.
const CANCELLED: usize = 256;

/// Shared by the two directions of a connection.
#[derive(Clone, Default)]
pub(super) struct InFlight {
    ids: Arc<Mutex<Ids>>,
}

#[derive(Default)]
struct Ids {
    taken: HashSet<RequestId>,
    /// The latest ones, the oldest first. They stay taken: nothing tells when the work on them
    /// ended, and until then its answer would pass for that of a new request.
    cancelled: VecDeque<RequestId>,
}

impl InFlight {
    /// Takes note of a message on its way in; hands back the refusal of one whose id is taken.
    pub(super) fn coming(&self, message: &ClientJsonRpcMessage) -> Option<Value> {
        match message {
            ClientJsonRpcMessage::Request(request) => {
                let id = &request.id;
                let is_new = self.with(|ids| ids.taken.insert(id.clone()));
                let error = "this id belongs to a request that is still being answered, or was \
                             cancelled; take a new one";
                (!is_new)
                    .then(|| refusal(Some(id.clone()), ErrorData::invalid_request(error, None)))
            }
            ClientJsonRpcMessage::Notification(told) => {
                if let ClientNotification::CancelledNotification(cancelled) = &told.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.with(|ids| ids.cancel(id));
                }
                None
            }
            _ => None,
        }
    }

    /// Takes note of a message on its way out.
    pub(super) fn going(&self, message: &ServerJsonRpcMessage) {
        let id = match message {
            ServerJsonRpcMessage::Response(answer) => Some(&answer.id),
            ServerJsonRpcMessage::Error(answer) => answer.id.as_ref(),
            _ => None,
        };
        if let Some(id) = id {
            self.with(|ids| ids.taken.remove(id));
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Ids) -> T) -> T {
        change(&mut self.ids.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ids {
    fn cancel(&mut self, id: &RequestId) {
        if !self.taken.contains(id) || self.cancelled.contains(id) {
            return;
        }
        self.cancelled.push_back(id.clone());
        if self.cancelled.len() > CANCELLED
            && let Some(oldest) = self.cancelled.pop_front()
        {
            self.taken.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn message(fields: Value) -> ClientJsonRpcMessage {
        from_value(fields).unwrap()
    }

    fn ping(id: i64) -> ClientJsonRpcMessage {
        message(json!({"jsonrpc": "2.0", "id": id, "method": "ping"}))
    }

    #[test]
    fn an_id_is_taken_until_its_answer_is_on_its_way() {
        let in_flight = InFlight::default();
        assert_eq!(in_flight.coming(&ping(1)), None);
        let refused = in_flight.coming(&ping(1)).unwrap();
        assert_eq!(refused["id"], 1);
        assert_eq!(refused["error"]["code"], -32600);
        let answer = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}});
        in_flight.going(&from_value(answer).unwrap());
        assert_eq!(in_flight.coming(&ping(1)), None);
    }

    #[test]
    fn a_cancelled_id_stays_taken_and_only_so_many_do() {
        let in_flight = InFlight::default();
        for id in 0..=CANCELLED as i64 {
            assert_eq!(in_flight.coming(&ping(id)), None);
            let method = "notifications/cancelled";
            let cancel = json!({"jsonrpc": "2.0", "method": method, "params": {"requestId": id}});
            for _ in 0..2 {
                assert_eq!(in_flight.coming(&message(cancel.clone())), None);
            }
        }
        assert_eq!(in_flight.coming(&ping(0)), None);
        assert!(in_flight.coming(&ping(1)).is_some());
    }
}
