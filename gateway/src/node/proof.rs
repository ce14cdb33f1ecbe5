//! What an instance did, proven: the verb `receipt`.

use std::fs::File;
use std::sync::Arc;

use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::State as Life;
use unicell_gateway_api::run::{Evidence, Kept};
use unicell_gateway_api::token::Verb;
use unicell_gateway_api::{Code, Problem};

use super::authority::About;
use super::{Caller, Gateway, Result, internal};

impl Gateway {
    /// The verb `receipt`: what an instance was run with and what came of it,
    /// signed by the node, as JSON. `nonce` is signed with it.
    ///
    /// # Errors
    ///
    /// The caller may not, the instance has not ended, or nothing was promised of it.
    pub async fn receipt(
        &self,
        caller: &Caller,
        id: InstanceId,
        nonce: Option<String>,
    ) -> Result<String> {
        let evidence = self.evidence(caller, id)?;
        examined(move || evidence.receipt(nonce)).await
    }

    /// All that came to an instance from outside, which its receipt names.
    ///
    /// # Errors
    ///
    /// As of [`Gateway::receipt`].
    pub async fn transcript(&self, caller: &Caller, id: InstanceId) -> Result<File> {
        let evidence = self.evidence(caller, id)?;
        examined(move || evidence.transcript()).await
    }

    /// How much evidence there is of instances that have ended.
    pub(crate) fn kept(&self) -> Kept {
        self.0.runner.kept()
    }

    fn evidence(&self, caller: &Caller, id: InstanceId) -> Result<Arc<dyn Evidence>> {
        let state = self.0.state.lock();
        let entry = state.target(caller, Verb::Receipt, id, About::default())?;
        let conflict = |detail: String| Problem::new(Code::Conflict, detail);
        let evidence = state.live.get(&id);
        let evidence = evidence.and_then(|live| live.facts.lock().evidence.clone());
        let evidence = evidence.ok_or_else(|| {
            conflict(format!(
                "nothing was promised of instance {id}: its level is D0"
            ))
        })?;
        if entry.state != Life::Ended {
            return Err(conflict(format!("instance {id} has not ended")));
        }
        Ok(evidence)
    }
}

/// Looks at evidence where waiting for the disk holds nobody up.
async fn examined<T: Send + 'static>(
    look: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(look)
        .await
        .unwrap_or_else(|error| Err(internal(error)))
}
