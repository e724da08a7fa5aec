//! What other Backends on the same database have for satellites whose polls are held here.

use std::pin::pin;

use futures_util::{StreamExt, stream};
use tokio_postgres::AsyncMessage;

use super::super::StoreError;
use super::{Postgres, fault};

impl Postgres {
    /// Listens on a connection of its own, and calls `heard` with the id of each satellite that there
    /// is something for; with none when it begins, for what was missed until then.
    ///
    /// # Errors
    ///
    /// Why it hears nothing any more: the connection cannot be made, or ended.
    pub async fn listen(&self, heard: impl Fn(Option<&str>) + Send) -> Result<(), StoreError> {
        let away = |error: tokio_postgres::Error| StoreError::Away(fault::words(&error));
        let address = &self.address;
        let (client, mut connection) =
            address.config.connect(address.tls.clone()).await.map_err(away)?;
        let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
        let mut begun = pin!(client.batch_execute("LISTEN satellite_wake"));
        let mut has_begun = false;
        loop {
            tokio::select! {
                outcome = &mut begun, if !has_begun => {
                    outcome.map_err(away)?;
                    has_begun = true;
                    heard(None);
                }
                message = messages.next() => match message {
                    Some(Ok(AsyncMessage::Notification(told))) => heard(Some(told.payload())),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(away(error)),
                    None => return Ok(()),
                },
            }
        }
    }
}
