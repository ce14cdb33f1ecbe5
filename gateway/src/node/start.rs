//! The verb `start`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use unicell_gateway_api::event::What;
use unicell_gateway_api::id::{Incarnation, InstanceId, ServiceId};
use unicell_gateway_api::instance::{Outcome, Start, Started, State as Life, Usage};
use unicell_gateway_api::log::Source;
use unicell_gateway_api::run::{Launch, Output, Program, RunError, Running, Traces};
use unicell_gateway_api::services::{BoxImage, Plan};
use unicell_gateway_api::token::{Token, Verb};
use unicell_gateway_api::{Code, Problem};

use super::draft::Draft;
use super::{Caller, Facts, Gateway, Live, Phase, Result, State, internal, publish};
use crate::clock::now_ms;
use crate::logs::{self, Log};
use crate::names;
use crate::net::{Party, View};
use crate::record::Remnant;
use crate::token::Principal;
use crate::tree::{Refused, Wanted};

impl Gateway {
    /// Starts an instance that belongs to the caller, and returns when its
    /// program runs. A caller that stops waiting leaves no half-started
    /// instance: what was begun is finished, and belongs to it.
    ///
    /// # Errors
    ///
    /// It cannot be; then nothing of it is left.
    pub async fn start(&self, caller: &Caller, request: Start) -> Result<Started> {
        caller.permit(Verb::Start)?;
        if !request.publish.is_empty() {
            self.permit_publish(caller)?;
        }
        tokio::time::sleep(self.turn(caller)?).await;
        let (service, called) = self.service_to_start(caller, &request.service).await?;
        let tenant = self.0.state.lock().tree.tenant(&caller.owner()).clone();
        let (plan, image) = self
            .blocking(move |services| {
                Ok((services.plan(service)?, services.image(service, &tenant)?))
            })
            .await?;
        let draft = Draft::new(&request, &plan, self.config(), &called)?;
        let (gateway, caller) = (self.clone(), caller.clone());
        let launched = tokio::spawn(async move {
            let launched = gateway.launch(&caller, request, plan, image, draft);
            launched.await
        });
        launched.await.unwrap_or_else(|error| Err(internal(error)))
    }

    /// How long a start has to wait, so that its caller does not start too often.
    fn turn(&self, caller: &Caller) -> Result<Duration> {
        let owner = caller.owner();
        let mut state = self.0.state.lock();
        let State { tree, starts, .. } = &mut *state;
        let turn = starts.draw(tree.payers(&owner), Instant::now());
        turn.map_err(|after| {
            let detail = "you start more instances a second than you may";
            Problem::new(Code::TooOften, detail).retry_after(after)
        })
    }

    fn permit_publish(&self, caller: &Caller) -> Result<()> {
        caller.permit(Verb::Publish)?;
        let client = matches!(caller.principal(), Principal::Client(_));
        if caller.is_operator() || client && self.config().clients_publish {
            return Ok(());
        }
        Err(Problem::new(
            Code::Forbidden,
            "publish: you may not put slots on ports of the host",
        ))
    }

    /// The service that a caller names, and what it calls it. Services name
    /// their dependencies by alias, others by id; tags are the operator's, and
    /// mean nothing inside.
    pub(super) async fn service_to_start(
        &self,
        caller: &Caller,
        reference: &str,
    ) -> Result<(ServiceId, String)> {
        let short = |id: &ServiceId| format!("s-{}", &id.to_string()[..8]);
        let Some(instance) = caller.instance() else {
            let named = reference.to_owned();
            let id = self
                .blocking(move |services| services.resolve(&named))
                .await?;
            let called = if reference.parse::<ServiceId>().is_ok() {
                short(&id)
            } else {
                reference.to_owned()
            };
            return Ok((id, called));
        };
        if let Ok(id) = reference.parse() {
            return Ok((id, short(&id)));
        }
        let state = self.0.state.lock();
        let dependencies = state.live.get(&instance).map(|live| &live.dependencies[..]);
        let dependencies = dependencies.unwrap_or_default();
        match dependencies
            .iter()
            .find(|dependency| dependency.alias == reference)
        {
            Some(dependency) => Ok((dependency.service, reference.to_owned())),
            None => {
                let known: Vec<_> = dependencies
                    .iter()
                    .map(|dependency| &dependency.alias)
                    .collect();
                Err(Problem::new(
                    Code::NotFound,
                    format!(
                        "service: {reference:?} is neither an id nor one of the dependencies {known:?}"
                    ),
                ))
            }
        }
    }

    async fn launch(
        &self,
        caller: &Caller,
        request: Start,
        plan: Plan,
        image: BoxImage,
        draft: Draft,
    ) -> Result<Started> {
        let published = publish::bind(&request.publish).await?;
        let hostname;
        let live = {
            let mut state = self.0.state.lock();
            let live = self.admit(&mut state, caller, &request, &plan, &draft, published)?;
            hostname = state
                .tree
                .get(live.id)
                .map_or_else(String::new, |entry| entry.name.clone());
            live
        };
        let id = live.id;
        let noted = self.note(&live, Traces::default());
        let launch = self.launch_of(&live, &request, &plan, image, draft.program, hostname);
        let launch = match launch {
            Ok(launch) => launch,
            Err(problem) => {
                self.gone(id, failed(&problem), Usage::default()).await;
                return Err(problem);
            }
        };
        // Both must be there before anybody is told; neither needs the other.
        let (running, noted) = tokio::join!(self.0.runner.start(launch), noted);
        let running = match running {
            Ok(running) => running,
            Err(error) => {
                let problem = match &error {
                    RunError::Host(error) => internal(error),
                    RunError::Refused(_) => Problem::new(Code::StartFailed, &error),
                };
                live.log.close();
                self.gone(id, failed(&problem), Usage::default()).await;
                return Err(problem);
            }
        };
        self.attach(&live, running).await;
        if let Err(error) = noted {
            self.halt(id, "the node's record cannot be written").await;
            return Err(internal(error));
        }
        self.until_running(&live).await?;
        self.started(caller, &live)
    }

    /// Takes an instance in: from here on it is in the tree.
    fn admit(
        &self,
        state: &mut State,
        caller: &Caller,
        request: &Start,
        plan: &Plan,
        draft: &Draft,
        published: Vec<publish::Published>,
    ) -> Result<Arc<Live>> {
        if state.closing {
            return Err(Problem::new(
                Code::ShuttingDown,
                "nothing is started any more",
            ));
        }
        let incarnation = Incarnation(u64::from(self.0.life) << 32 | u64::from(state.started));
        state.started = state
            .started
            .checked_add(1)
            .ok_or_else(|| internal("there were too many starts in this life of the node"))?;
        let wanted = |id| Wanted {
            id,
            incarnation,
            owner: caller.owner(),
            service: plan.id,
            name: draft.name.clone(),
            exact: draft.exact,
            limits: draft.limits,
            allowance: request.allowance,
        };
        let entry = loop {
            let mut id = [0; 6];
            getrandom::fill(&mut id).map_err(internal)?;
            match state.tree.admit(wanted(InstanceId::new(id))) {
                Err(Refused::Id(_)) => {}
                Err(refused) => return Err(refusal(&refused)),
                Ok(entry) => break entry,
            }
        };
        let config = &self.config().instance;
        let live = Arc::new(Live {
            id: entry.id,
            incarnation,
            service: plan.id,
            owner: entry.owner.clone(),
            slots: plan.slots.clone(),
            dependencies: plan.dependencies.clone(),
            published,
            handle: Mutex::new(None),
            log: Log::new(config.log),
            asked: Instant::now(),
            started_ms: now_ms(),
            relayed: Arc::default(),
            gateway_streams: Arc::new(Semaphore::new(config.gateway_streams)),
            cancel: CancellationToken::new(),
            ports: TaskTracker::new(),
            phase: watch::Sender::new(Phase::Starting),
            facts: Mutex::new(Facts::default()),
        });
        let what = What::Starting {
            service: plan.id,
            name: entry.name.clone(),
            owner: entry.owner.clone(),
            incarnation,
        };
        self.tell(&live, what);
        state.live.insert(live.id, Arc::clone(&live));
        state.views.insert(live.id, View::default());
        let party = Party {
            id: Some(live.id),
            needs: plan.networks.clone(),
            slots: plan.slots.clone(),
            chosen: request.networks.clone(),
            withdrawn: Vec::new(),
        };
        state.parties.insert(live.id, party);
        Ok(live)
    }

    /// Writes into the record that it runs.
    fn note(
        &self,
        live: &Live,
        traces: Traces,
    ) -> impl Future<Output = Result<(), crate::record::RecordError>> + use<> {
        self.0.record.running(Remnant {
            id: live.id,
            incarnation: live.incarnation,
            service: live.service,
            owner: live.owner.clone(),
            started_ms: live.started_ms,
            traces,
            published: live
                .published
                .iter()
                .map(|published| published.host)
                .collect(),
        })
    }

    fn launch_of(
        &self,
        live: &Arc<Live>,
        request: &Start,
        plan: &Plan,
        image: BoxImage,
        program: Program,
        hostname: String,
    ) -> Result<Launch> {
        let output = Output {
            stdout: logs::pipe(&live.log, Source::Stdout).map_err(internal)?,
            stderr: logs::pipe(&live.log, Source::Stderr).map_err(internal)?,
            log: logs::pipe(&live.log, Source::Kernel).map_err(internal)?,
        };
        let has_parent = live.parent().is_some();
        let configuration = self.configuration(live, request)?;
        let mut files = names::files(&hostname, has_parent);
        files.extend(self.configuration_files(live.id, plan, &configuration)?);
        Ok(Launch {
            id: live.id,
            hostname,
            service: live.service,
            image,
            program,
            files,
            limits: configuration.resources,
            most: plan.at_most,
            output,
            timeout: request.timeout_ms.map(Duration::from_millis),
            determinism: request.determinism,
            cpu: request.cpu,
        })
    }

    /// Its process is there.
    async fn attach(&self, live: &Arc<Live>, running: Running) {
        let Running {
            instance,
            events,
            traces,
            jail,
            evidence,
        } = running;
        // Written after the first note, since the writer keeps the order.
        {
            let mut facts = live.facts.lock();
            facts.jail = jail;
            facts.evidence = evidence;
        }
        drop(self.note(live, traces));
        *live.handle.lock() = Some(Arc::clone(&instance));
        let stop = self.0.state.lock().tree.attached(live.id);
        self.listen(live);
        tokio::spawn(self.clone().live(Arc::clone(live), events));
        if stop {
            instance.stop().await;
        }
    }

    async fn until_running(&self, live: &Live) -> Result<()> {
        let mut phase = live.phase.subscribe();
        let bound = self.config().instance.start;
        let started = tokio::time::timeout(bound, async {
            let phase = phase.wait_for(|phase| *phase != Phase::Starting).await;
            phase.is_ok_and(|phase| *phase == Phase::Running)
        });
        match started.await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(_) => {
                self.halt(live.id, "its program did not start in time")
                    .await;
            }
        }
        // It ran, and was done before we looked: how it ended is no matter of its start.
        if live.facts.lock().running.is_some() {
            return Ok(());
        }
        let state = self.0.state.lock();
        let outcome = state
            .tree
            .get(live.id)
            .and_then(|entry| entry.outcome.clone());
        let reason = match outcome {
            Some(Outcome::Failed { reason, .. }) => reason,
            _ => "it was stopped before its program ran".to_owned(),
        };
        Err(Problem::new(Code::StartFailed, reason))
    }

    fn started(&self, caller: &Caller, live: &Live) -> Result<Started> {
        let token = self.control_token(caller, live.id, live.incarnation)?;
        let state = self.0.state.lock();
        let name = state.tree.get(live.id).map(|entry| entry.name.clone());
        Ok(Started {
            id: live.id,
            incarnation: live.incarnation,
            service: live.service,
            name: name.unwrap_or_default(),
            token,
            slots: state.slots_for(caller, live),
            networks: self.network_states(&state, live.id),
        })
    }

    /// What a parent may do with its child, as a token.
    fn control_token(
        &self,
        caller: &Caller,
        id: InstanceId,
        incarnation: Incarnation,
    ) -> Result<Token> {
        use unicell_gateway_api::token::Caveat;
        let chain = match &caller.chain {
            // Not wider than what the caller has shown, but to be passed on.
            Some(chain) => self.0.key.release(chain),
            None => self
                .0
                .key
                .mint(caller.principal().clone())
                .map_err(internal)?,
        };
        let narrowed = chain.narrow(Caveat::Instance { id, incarnation });
        Ok(narrowed
            .map_err(|bad| Problem::new(Code::BadRequest, format!("the token: {bad}")))?
            .token())
    }
}

fn failed(problem: &Problem) -> Outcome {
    Outcome::Failed {
        code: 200,
        reason: problem.detail.clone(),
    }
}

/// What a refusal of the tree means to a caller.
pub(super) fn refusal(refused: &Refused) -> Problem {
    let code = match refused {
        Refused::Resources { .. } => Code::NoResources,
        Refused::Instances(_) | Refused::Children(_) | Refused::Depth(_) => Code::LimitReached,
        Refused::Parent | Refused::Name(_) | Refused::Id(_) => Code::Conflict,
    };
    Problem::new(code, refused)
}

impl Live {
    /// The instance that started it.
    pub(super) fn parent(&self) -> Option<InstanceId> {
        match self.owner {
            unicell_gateway_api::instance::Owner::Instance(id) => Some(id),
            _ => None,
        }
    }
}

impl State {
    /// Whether an instance runs and can be talked to.
    pub(super) fn runs(&self, id: InstanceId) -> bool {
        self.tree
            .get(id)
            .is_some_and(|entry| entry.state == Life::Running)
    }
}
