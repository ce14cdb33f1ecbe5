//! The verbs `estimate` and `availability`, answered from what was measured
//! and from what is free.

use unicell_gateway_api::instance::{
    Availability, AvailabilityRequest, Estimate, EstimateRequest, Limits,
};
use unicell_gateway_api::token::Verb;

use super::{Caller, Gateway, Result, draft};

impl Gateway {
    /// What starting and keeping an instance would cost here.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is no such service.
    pub async fn estimate(&self, caller: &Caller, request: EstimateRequest) -> Result<Estimate> {
        caller.permit(Verb::Estimate)?;
        let (service, _) = self.service_to_start(caller, &request.service).await?;
        let plan = self
            .blocking(move |services| services.plan(service))
            .await?;
        let limits = draft::limits(&plan, &request.resources)?;
        let (costs, of_this_service) = self.0.state.lock().meter.of(service);
        Ok(Estimate {
            service,
            limits,
            start_ns: costs.start_ns.into(),
            cpu_milli: costs.cpu_milli.into(),
            memory_peak: costs.memory_peak.into(),
            of_this_service,
            price: 0,
        })
    }

    /// Whether an instance could start now. Nothing is set apart by asking.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is no such service.
    pub async fn availability(
        &self,
        caller: &Caller,
        request: AvailabilityRequest,
    ) -> Result<Availability> {
        caller.permit(Verb::Availability)?;
        let mut reasons = Vec::new();
        let limits = match &request.service {
            Some(reference) => {
                let (service, _) = self.service_to_start(caller, reference).await?;
                let plan = self
                    .blocking(move |services| services.plan(service))
                    .await?;
                if let Err(problem) = draft::supported(&plan, self.config()) {
                    reasons.push(problem.detail);
                }
                draft::limits(&plan, &request.resources)?
            }
            None => Limits {
                memory: request.resources.memory.unwrap_or(0),
                cpu_milli: request.resources.cpu_milli.unwrap_or(0),
                disk: request.resources.disk.unwrap_or(0),
            },
        };
        let state = self.0.state.lock();
        let free = state.tree.free(&caller.owner());
        let lacking = [
            ("memory", "bytes", limits.memory, free.memory),
            (
                "CPU",
                "thousandths",
                limits.cpu_milli.into(),
                free.cpu_milli.into(),
            ),
            ("disk", "bytes", limits.disk, free.disk),
        ];
        for (what, unit, asked, free) in lacking
            .into_iter()
            .filter(|(_, _, asked, free)| asked > free)
        {
            reasons.push(format!("{what}: {asked} {unit} needed, {free} free"));
        }
        if state.closing {
            reasons.push("the node is shutting down".to_owned());
        }
        let bounds = state.tree.bounds();
        if state.tree.live() >= bounds.instances {
            reasons.push(format!(
                "there are {} instances, as many as there may be",
                bounds.instances
            ));
        }
        let children = state.tree.children(&caller.owner()).count();
        if !caller.is_operator() && children >= bounds.children {
            reasons.push(format!(
                "you have {children} instances, as many as you may have"
            ));
        }
        Ok(Availability {
            available: reasons.is_empty(),
            reasons,
            free,
        })
    }
}
