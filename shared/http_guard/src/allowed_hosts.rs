//! The rules of a request with a secret, for each target on its way: the request itself and every
//! redirect.

use domain::allowed_host::AllowedHost;

use crate::HttpError;
use crate::settings::{GuardSettings, Listed};
use crate::target::Target;

/// The rules that each hop of one request must keep to.
pub(crate) struct Rules {
    /// Whether a secret stands in the request.
    pub(crate) used_secret: bool,
    /// For each secret the hosts that it may be sent to.
    pub(crate) allowed_hosts: Vec<Vec<AllowedHost>>,
}

impl Rules {
    /// Checks a target before a connection is tried.
    pub(crate) fn check(&self, target: &Target, settings: &GuardSettings) -> Result<(), HttpError> {
        let (host, port) = (target.host_text(), target.port());
        if self.used_secret && !target.is_https() && settings.listed(host, port) == Listed::No {
            return Err(HttpError::PlainHttpWithSecret);
        }
        if !self.allowed_hosts.iter().all(|hosts| hosts.iter().any(|allowed| allowed.matches(host, port))) {
            return Err(HttpError::HostNotAllowed);
        }
        Ok(())
    }
}
