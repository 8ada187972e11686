//! TCP: the port takes connections.

use super::{Findings, Look, Looked, words};

pub(super) async fn look(host: &str, port: u16, look: &Look<'_>) -> Looked {
    let stream = look.dialer.dial(host, port, &look.reached).await;
    stream.map_err(|obstacle| words::of_obstacle(obstacle, &format!("{host}:{port}")))?;
    Ok(Findings::passed())
}
