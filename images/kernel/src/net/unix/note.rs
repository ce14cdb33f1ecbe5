//! What accompanies bytes and messages: who sent them, from which name, with which descriptors.

use linux_raw_sys::net;

use crate::net::{Control, Outgoing, Received, Rights, SenderCredentials};

/// What accompanies bytes or a message.
pub(super) struct Note {
    pub(super) credentials: SenderCredentials,
    pub(super) rights: Option<Rights>,
}

impl Note {
    /// What the running process sends along. The descriptors are on their way from now on.
    pub(super) fn of(outgoing: &mut Outgoing) -> Self {
        Self {
            credentials: outgoing
                .credentials
                .unwrap_or_else(SenderCredentials::of_sender),
            rights: outgoing.rights.take(),
        }
    }

    /// Tells of the sender.
    pub(super) fn tell_sender(&self, received: &mut Received) {
        received.control.push(Control {
            level: net::SOL_SOCKET,
            kind: net::SCM_CREDENTIALS,
            data: self.credentials.to_bytes(),
        });
    }

    /// Tells of the descriptors; they also stay.
    pub(super) fn copy_rights(&self, received: &mut Received) {
        if let Some(rights) = &self.rights {
            received.rights = rights.files().to_vec();
        }
    }

    /// Hands the descriptors over.
    pub(super) fn hand_over(&mut self, received: &mut Received) {
        if let Some(rights) = self.rights.take() {
            received.rights = rights.take();
        }
    }
}
