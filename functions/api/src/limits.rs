//! The memory of an instance about its callers: how fast each may be, when its use was noted last,
//! and which reads have their line. It decides nothing else: whether a token is good is asked of the
//! database with every request.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bounded_cache::Cache;
use domain::ids::{OrganizationId, TokenId};
use domain::rate::Rate;
use jiff::{SignedDuration, Timestamp};
use process::{RateLimits, TooFast};
use store::Store;
use store::api::{Caller, note_use};

use crate::error::ApiError;
use crate::token::TokenHash;

/// Tokens that are remembered. At the limit all are forgotten: they are known again with their next
/// request.
const TOKENS_KNOWN_MAX: usize = 5_000;
/// Keys of reads that are remembered.
const READS_KNOWN_MAX: usize = 10_000;
/// Seconds between two notes of a token's use.
const NOTE_PAUSE_SECONDS: i64 = 60;

/// How fast callers may be, and what was noted of them.
pub struct RequestLimits {
    rate_max: Rate,
    tokens: RateLimits<TokenHash>,
    organizations: RateLimits<OrganizationId>,
    strangers: RateLimits<Option<IpAddr>>,
    known: Mutex<HashMap<TokenHash, Known>>,
    reads: Cache<String, ()>,
}

/// A token that was good when it was last used.
#[derive(Clone, Copy)]
struct Known {
    id: TokenId,
    organization_id: OrganizationId,
    /// The rate of its organization.
    rate: Option<Rate>,
    noted_at: Option<Timestamp>,
    throttled: i64,
}

impl RequestLimits {
    /// Limits with the operator's maximum for each token.
    #[must_use]
    pub fn new(rate_max: Rate) -> Self {
        Self {
            rate_max,
            tokens: RateLimits::default(),
            organizations: RateLimits::default(),
            strangers: RateLimits::default(),
            known: Mutex::default(),
            reads: Cache::new(READS_KNOWN_MAX),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<TokenHash, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request out of the buckets of its token and of its organization, before anything is
    /// asked of the database. Tokens that are not known share the bucket of their address.
    pub(crate) fn take(
        &self,
        token: &TokenHash,
        source: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let known = self.known().get(token).copied();
        let taken = match known {
            None => self.strangers.take(source.map(network), self.rate_max, now),
            Some(known) => self.tokens.take(*token, self.rate_max, now).and_then(|()| {
                let rate = known.rate.unwrap_or(Rate { per_second: u32::MAX, burst: u32::MAX });
                known.rate.map_or(Ok(()), |_| self.organizations.take(known.organization_id, rate, now))
            }),
        };
        taken.map_err(|too_fast: TooFast| {
            if let Some(known) = self.known().get_mut(token) {
                known.throttled += 1;
            }
            ApiError::TooFast(too_fast)
        })
    }

    /// Remembers a token that was found good.
    pub(crate) fn know(&self, token: &TokenHash, found: &Caller) {
        let Some(id) = found.actor.id else { return };
        let per_second = found.requests_per_second_max.and_then(|most| u32::try_from(most).ok());
        let rate = per_second.map(|per_second| Rate { per_second, burst: per_second.saturating_mul(2) });
        let mut known = self.known();
        if known.len() >= TOKENS_KNOWN_MAX && !known.contains_key(token) {
            known.clear();
        }
        let organization_id = found.organization_id;
        let new = Known { id, organization_id, rate, noted_at: None, throttled: 0 };
        known.entry(*token).and_modify(|known| known.rate = rate).or_insert(new);
    }

    /// Forgets a token that is not good any more.
    pub(crate) fn forget(&self, token: &TokenHash) {
        self.known().remove(token);
    }

    /// Notes the use of a token, at most once a minute, with the requests that came too fast. If it
    /// can't be noted now, it is with a later request.
    pub(crate) async fn note_use(&self, store: &Store, token: &TokenHash, now: Timestamp) {
        let due = {
            let mut known = self.known();
            let Some(known) = known.get_mut(token) else { return };
            let pause = SignedDuration::from_secs(NOTE_PAUSE_SECONDS);
            if known.noted_at.is_some_and(|noted_at| now.duration_since(noted_at) < pause) {
                return;
            }
            known.noted_at = Some(now);
            (known.id, std::mem::take(&mut known.throttled))
        };
        if let Err(error) = note_use(store, due.0, due.1, now).await {
            tracing::warn!(%error, "the use of a token could not be noted");
            if let Some(known) = self.known().get_mut(token) {
                known.throttled += due.1;
            }
        }
    }

    /// Whether a read has its line in the audit log.
    pub(crate) fn is_noted(&self, read_key: &str) -> bool {
        self.reads.get(read_key).is_some()
    }

    /// A read has its line.
    pub(crate) fn noted(&self, read_key: String) {
        self.reads.insert(read_key, 1, ());
    }
}

/// The addresses that one party has: of version 6 a whole network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use domain::access::{Access, Grants, Role};
    use domain::actor::{Actor, ActorKind};
    use domain::limits::TOKEN_RATE_PER_SECOND;

    use super::*;

    fn limits() -> RequestLimits {
        RequestLimits::new(Rate { per_second: TOKEN_RATE_PER_SECOND, burst: 2 * TOKEN_RATE_PER_SECOND })
    }

    fn found(organization: u128, most: Option<i32>) -> Caller {
        Caller {
            organization_id: OrganizationId::from_u128(organization),
            actor: Actor { kind: ActorKind::Token, id: Some(TokenId::from_u128(1)), name: "n".to_owned() },
            access: Access::new(Role::Owner, Grants::default()),
            made_by: None,
            person: store::api::Person { id: TokenId::from_u128(1), name: "n".to_owned() },
            expires_at: None,
            is_suspended: false,
            requests_per_second_max: most,
        }
    }

    fn token(number: usize) -> TokenHash {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_token_has_its_rate_and_no_more_whatever_others_do_i10() {
        let limits = limits();
        limits.know(&token(1), &found(1, None));
        limits.know(&token(2), &found(1, None));
        let taken = |number, count: u32, now| {
            (0..count).filter(|_| limits.take(&token(number), None, now).is_ok()).count() as u32
        };
        assert_eq!(taken(1, 2 * TOKEN_RATE_PER_SECOND + 1, at(0)), 2 * TOKEN_RATE_PER_SECOND);
        assert_eq!(taken(1, TOKEN_RATE_PER_SECOND + 1, at(1)), TOKEN_RATE_PER_SECOND);
        assert_eq!(taken(2, 1, at(1)), 1);
        assert_eq!(limits.known()[&token(1)].throttled, 2, "each that was refused is counted");
        // Tokens that are not known share the bucket of their network, and take nothing from others.
        let strangers = |source: &str| {
            let source = Some(source.parse().unwrap());
            (100..1_000).filter(|number| limits.take(&token(*number), source, at(1)).is_ok()).count() as u32
        };
        assert_eq!(strangers("192.0.2.1"), 2 * TOKEN_RATE_PER_SECOND);
        assert_eq!([strangers("192.0.2.1"), strangers("::ffff:192.0.2.1")], [0, 0]);
        assert_eq!(strangers("192.0.2.2"), 2 * TOKEN_RATE_PER_SECOND);
        assert_eq!(strangers("2001:db8::1"), 2 * TOKEN_RATE_PER_SECOND);
        assert_eq!(
            [strangers("2001:db8::ffff:2"), strangers("2001:db8:0:1::1")],
            [0, 2 * TOKEN_RATE_PER_SECOND]
        );
        assert_eq!(taken(2, 1, at(1)), 1);
    }

    #[test]
    fn an_organizations_rate_holds_over_all_of_its_tokens() {
        let limits = limits();
        for (number, organization, most) in [(1, 1, Some(3)), (2, 1, Some(3)), (3, 2, Some(3)), (4, 3, None)]
        {
            limits.know(&token(number), &found(organization, most));
        }
        let taken = |number| (0..10).filter(|_| limits.take(&token(number), None, at(0)).is_ok()).count();
        assert_eq!([taken(1), taken(2), taken(3), taken(4)], [6, 0, 6, 10]);
        limits.know(&token(1), &found(1, None));
        assert_eq!(taken(1), 10, "a limit that was taken away");
    }

    #[test]
    fn what_is_remembered_can_not_fill_the_memory_i10() {
        let limits = limits();
        for number in 0..TOKENS_KNOWN_MAX {
            limits.know(&token(number), &found(1, None));
        }
        assert_eq!(limits.known().len(), TOKENS_KNOWN_MAX);
        limits.know(&token(TOKENS_KNOWN_MAX + 1), &found(1, None));
        assert_eq!(limits.known().len(), 1, "all are known again with their next request");
        for number in 0..=READS_KNOWN_MAX {
            limits.noted(number.to_string());
        }
        assert_eq!(limits.reads.count(), READS_KNOWN_MAX);
        assert!(limits.is_noted(&READS_KNOWN_MAX.to_string()) && !limits.is_noted("0"), "the oldest goes");
    }
}
