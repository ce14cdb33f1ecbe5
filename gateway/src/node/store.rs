//! The verbs about services that the node keeps.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use unicell_gateway_api::id::ServiceId;
use unicell_gateway_api::service::{Collected, Imported, Service};
use unicell_gateway_api::token::Verb;
use unicell_gateway_api::{Code, Problem};

use super::{Caller, Gateway, Result};
use crate::token::Principal;

impl Gateway {
    /// All services.
    ///
    /// # Errors
    ///
    /// The caller may not.
    pub async fn services(&self, caller: &Caller) -> Result<Vec<Service>> {
        caller.permit(Verb::Service)?;
        if caller.instance().is_some() {
            let detail = "a service fetches services by id; it does not list those of others";
            return Err(Problem::new(Code::Forbidden, detail));
        }
        let mut services = self
            .blocking(unicell_gateway_api::services::Services::list)
            .await?;
        let state = self.0.state.lock();
        for service in &mut services {
            service.running = state.running_of(service.id);
        }
        Ok(services)
    }

    /// One service.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is none.
    pub async fn service(&self, caller: &Caller, reference: &str) -> Result<Service> {
        caller.permit(Verb::Service)?;
        let (id, _) = self.service_to_start(caller, reference).await?;
        let mut service = self.blocking(move |services| services.service(id)).await?;
        service.running = self.0.state.lock().running_of(id);
        Ok(service)
    }

    /// Brings a service in.
    ///
    /// # Errors
    ///
    /// The caller may not, or it is no sound service.
    pub async fn import(
        &self,
        caller: &Caller,
        bytes: impl Read + Send + 'static,
        expected: Option<ServiceId>,
    ) -> Result<Imported> {
        caller.permit(Verb::Import)?;
        if caller.instance().is_some() {
            let detail = "services bring no services in on this node";
            return Err(Problem::new(Code::Forbidden, detail));
        }
        let full = |_| {
            let detail = "as many services as may be are being brought in already";
            Problem::new(Code::LimitReached, detail)
        };
        let _permit = self.0.imports.try_acquire().map_err(full)?;
        let most = self.config().api.import;
        let room = match caller.principal() {
            Principal::Operator => u64::MAX,
            _ => self.room().await?,
        };
        let exceeded = Arc::new(AtomicBool::new(false));
        let mut bytes = Bounded {
            reader: bytes,
            left: most.min(room),
            exceeded: Arc::clone(&exceeded),
        };
        let imported = self.blocking(move |services| services.import(&mut bytes, expected));
        match imported.await {
            Err(_) if exceeded.load(Ordering::Relaxed) => Err(if room < most {
                self.is_full()
            } else {
                let detail = format!("the service is larger than {most} bytes");
                Problem::new(Code::TooLarge, detail)
            }),
            imported => imported,
        }
    }

    /// What clients may still bring in. Those who do it at once have it each.
    async fn room(&self) -> Result<u64> {
        let used = self
            .blocking(unicell_gateway_api::services::Services::used)
            .await?;
        match self.config().store.saturating_sub(used) {
            0 => Err(self.is_full()),
            room => Ok(room),
        }
    }

    fn is_full(&self) -> Problem {
        let bound = self.config().store;
        let detail = format!("the store would have more than the {bound} bytes that clients fill");
        Problem::new(Code::LimitReached, detail)
    }

    /// Writes a service in an encoding.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such service, or no such encoding.
    pub async fn export(
        &self,
        caller: &Caller,
        reference: &str,
        encoding: String,
        to: impl Write + Send + 'static,
    ) -> Result<()> {
        caller.permit(Verb::Service)?;
        let (id, _) = self.service_to_start(caller, reference).await?;
        let mut to = to;
        self.blocking(move |services| services.export(id, &encoding, &mut to))
            .await
    }

    /// Names a service.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is no such service.
    pub async fn tag(&self, caller: &Caller, tag: String, reference: &str) -> Result<()> {
        caller.permit_operator(Verb::Import)?;
        let (id, _) = self.service_to_start(caller, reference).await?;
        self.blocking(move |services| services.tag(id, &tag)).await
    }

    /// Takes a name away.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is no such name.
    pub async fn untag(&self, caller: &Caller, tag: String) -> Result<()> {
        caller.permit_operator(Verb::Import)?;
        self.blocking(move |services| services.untag(&tag)).await
    }

    /// Removes a service.
    ///
    /// # Errors
    ///
    /// The caller may not, there is none, or instances of it run.
    pub async fn remove(&self, caller: &Caller, reference: &str) -> Result<()> {
        caller.permit_operator(Verb::Import)?;
        let (id, _) = self.service_to_start(caller, reference).await?;
        let running = self.0.state.lock().running_of(id);
        if running > 0 {
            let detail = format!("{running} instances of {id} have not ended");
            return Err(Problem::new(Code::Conflict, detail));
        }
        self.blocking(move |services| services.remove(id)).await
    }

    /// Removes what nothing refers to.
    ///
    /// # Errors
    ///
    /// The caller may not.
    pub async fn collect(&self, caller: &Caller) -> Result<Collected> {
        caller.permit_operator(Verb::Import)?;
        let mut keep: Vec<_> = {
            let state = self.0.state.lock();
            let live = state
                .live
                .values()
                .filter(|live| live.facts.lock().usage.is_none());
            live.flat_map(|live| {
                let children = live
                    .dependencies
                    .iter()
                    .map(|dependency| dependency.service);
                children.chain([live.service]).collect::<Vec<_>>()
            })
            .collect()
        };
        keep.sort_unstable();
        keep.dedup();
        self.blocking(move |services| services.collect(&keep)).await
    }
}

impl super::State {
    fn running_of(&self, id: ServiceId) -> usize {
        use unicell_gateway_api::instance::State as Life;
        let running = self.tree.iter().filter(|entry| entry.state != Life::Ended);
        running.filter(|entry| entry.service == id).count()
    }
}

/// A reader that fails after so many bytes.
struct Bounded<R> {
    reader: R,
    left: u64,
    exceeded: Arc<AtomicBool>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => {
                self.left = left;
                Ok(read)
            }
            None => {
                self.exceeded.store(true, Ordering::Relaxed);
                Err(io::Error::other("it is too large"))
            }
        }
    }
}
