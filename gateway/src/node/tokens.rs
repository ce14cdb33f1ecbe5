//! The verbs about tokens.

use unicell_gateway_api::event::What;
use unicell_gateway_api::token::{
    Caveat, CreateToken, IssuedToken, NarrowToken, RevokeToken, Verb,
};
use unicell_gateway_api::{Code, Problem};

use super::{Caller, Gateway, Result, internal};
use crate::token::{Chain, Principal, client_name};

/// Most tokens that a client or an instance revokes in one life of the node: each is kept.
const REVOCATIONS: usize = 1024;

impl Caller {
    /// Whether its token is for one instance only.
    pub(super) fn about_one_instance(&self) -> bool {
        let chain = self.chain.iter().flat_map(Chain::caveats);
        chain
            .into_iter()
            .any(|caveat| matches!(caveat, Caveat::Instance { .. }))
    }
}

impl Gateway {
    /// Makes a token for a client.
    ///
    /// # Errors
    ///
    /// The caller is not the operator, or a name or caveat is out of bounds.
    pub fn create_token(&self, caller: &Caller, request: CreateToken) -> Result<IssuedToken> {
        caller.permit_operator(Verb::Token)?;
        let bad =
            |field: &str, reason| Problem::new(Code::BadRequest, format!("{field}: {reason}"));
        client_name(&request.client).map_err(|error| bad("client", error))?;
        let client = request.client.clone();
        let mut chain = self
            .0
            .key
            .mint(Principal::Client(request.client))
            .map_err(internal)?;
        for caveat in request.caveats {
            chain = chain
                .narrow(caveat)
                .map_err(|error| bad("caveats", error))?;
        }
        self.0.events.node(What::TokenCreated { client });
        Ok(IssuedToken {
            token: chain.token(),
        })
    }

    /// Narrows a token. It need not be valid, nor the caller's own: who has it
    /// could do so without the node.
    ///
    /// # Errors
    ///
    /// It is no token, or a caveat is out of bounds.
    pub fn narrow_token(&self, caller: &Caller, request: NarrowToken) -> Result<IssuedToken> {
        let bad = |error| Problem::new(Code::BadRequest, format!("token: {error}"));
        let chain = match (&request.token, &caller.chain) {
            (Some(token), _) => Chain::parse(token).map_err(bad)?,
            (None, Some(chain)) => chain.clone(),
            (None, None) => {
                let detail = "token: name one, since the call was made without a token";
                return Err(Problem::new(Code::BadRequest, detail));
            }
        };
        let narrowed = request.caveats.into_iter().try_fold(chain, Chain::narrow);
        let narrowed = narrowed
            .map_err(|error| Problem::new(Code::BadRequest, format!("caveats: {error}")))?;
        Ok(IssuedToken {
            token: narrowed.token(),
        })
    }

    /// Revokes a token, and all that were narrowed from it, for good. The
    /// operator may revoke any; others those that speak for them.
    ///
    /// # Errors
    ///
    /// It is no token of this node, or the caller may not.
    pub async fn revoke_token(&self, caller: &Caller, request: RevokeToken) -> Result<()> {
        caller.permit(Verb::Token)?;
        let bad = |reason: String| Problem::new(Code::BadRequest, format!("token: {reason}"));
        let chain = Chain::parse(&request.token).map_err(|error| bad(error.to_string()))?;
        let names = self.0.key.verify(&chain);
        let names = names.map_err(|error| bad(error.to_string()))?;
        if !caller.is_operator() && chain.principal() != caller.principal() {
            return Err(Problem::new(
                Code::Forbidden,
                "the token does not speak for you",
            ));
        }
        let name = chain.revocation_name();
        {
            let mut state = self.0.state.lock();
            if names.iter().any(|name| state.revoked.contains(name)) {
                return Ok(());
            }
            if !caller.is_operator() {
                let revoked = state.revocations.entry(chain.principal().clone());
                let revoked = revoked.or_default();
                if revoked.len() >= REVOCATIONS {
                    let detail = "token: you have revoked too many; revoke one that they were \
                                  narrowed from";
                    return Err(Problem::new(Code::LimitReached, detail));
                }
                revoked.push(name);
            }
            // Here first: the token is refused from now on, even if the disk fails.
            state.revoked.insert(name);
        }
        // What speaks for an instance ends with it, and that with the node.
        if !matches!(chain.principal(), Principal::Instance(..)) {
            self.0.record.revoke(name).await.map_err(internal)?;
        }
        self.0.events.node(What::TokenRevoked);
        Ok(())
    }
}
