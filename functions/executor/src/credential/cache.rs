//! Tokens that issuers gave, kept for minutes and in memory only.
//!
//! The cache key is made of the opened values. So only an execution whose credential was allowed
//! and opened in this batch can look up a token. Executions that need the same token at once share
//! one fetch and its outcome.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bounded_cache::Cache;
use components::{BoxFuture, HttpFailure};
use domain::execution::ResultReason;
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use jiff::Timestamp;

use super::Issued;

/// The most tokens that are kept.
pub const TOKENS_MAX: usize = 200;
/// The most seconds for which a token is kept, even if it is valid for longer.
pub const KEPT_SECONDS_MAX: i64 = 300;
/// Seconds after which an unfinished fetch counts as abandoned, and another one begins.
const FETCH_SECONDS_MAX: i64 = 30;

/// The outcome of a fetch, shared by all executions that wait for it.
pub type Fetched = Result<Arc<Issued>, HttpFailure>;

/// The cache key of a token: a hash of the organization, the secrets, their opened values and every
/// parameter.
pub type TokenKey = [u8; 32];

/// Tokens of one process.
pub struct TokenCache(Cache<TokenKey, Slot>);

impl Default for TokenCache {
    fn default() -> Self {
        Self(Cache::new(TOKENS_MAX))
    }
}

#[derive(Clone)]
struct Slot {
    fetch: Shared<BoxFuture<'static, Fetched>>,
    begun_at: Timestamp,
}

impl Slot {
    /// True if its token is valid, or its fetch is under way.
    fn is_usable(&self, now: Timestamp) -> bool {
        let since = |instant: Timestamp| now.as_second() - instant.as_second();
        match self.fetch.peek() {
            None => since(self.begun_at) < FETCH_SECONDS_MAX,
            Some(Ok(issued)) => now < issued.ends_at,
            Some(Err(_)) => false,
        }
    }
}

impl TokenCache {
    /// The token of a key: from the cache, from a fetch under way, or from a new fetch.
    ///
    /// # Errors
    /// The failure of the fetch; the next execution fetches anew.
    pub async fn get<F>(&self, key: TokenKey, now: Timestamp, fetch: impl FnOnce() -> F) -> Fetched
    where
        F: Future<Output = Fetched> + Send + 'static,
    {
        // Tokens that ended, and failed fetches, leave the memory here.
        self.0.retain(|_, slot| slot.is_usable(now));
        let begin = || {
            // A panic would be kept, and would hit every execution that asks for the token.
            let fetch = AssertUnwindSafe(fetch())
                .catch_unwind()
                .map(|fetched| fetched.unwrap_or_else(|_| Err(crashed())));
            Slot { fetch: fetch.boxed().shared(), begun_at: now }
        };
        self.0.get_or_insert(key, 1, |slot| slot.is_usable(now), begin).fetch.await
    }

    /// Forgets a token that a target refused, unless another one replaced it.
    pub fn forget(&self, key: TokenKey, refused: &Arc<Issued>) {
        let is_it =
            |slot: &Slot| matches!(slot.fetch.peek(), Some(Ok(issued)) if Arc::ptr_eq(issued, refused));
        self.0.retain(|kept, slot| *kept != key || !is_it(slot));
    }
}

fn crashed() -> HttpFailure {
    let message = "asking the issuer for a token failed inside sealflow; please report it";
    HttpFailure::new(ResultReason::Crashed, "panic", message.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use zeroize::Zeroizing;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn issued(ends_at: i64) -> Fetched {
        Ok(Arc::new(Issued {
            token: Zeroizing::new("token".into()),
            others: Vec::new(),
            asked_at: at(0),
            ends_at: at(ends_at),
        }))
    }

    fn key(number: usize) -> TokenKey {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        key
    }

    /// A cache, and the fetches that it began.
    #[derive(Default)]
    struct Counted {
        cache: TokenCache,
        fetches: AtomicUsize,
    }

    impl Counted {
        async fn get(&self, number: usize, now: i64, fetched: Fetched) -> Fetched {
            let fetch = || {
                self.fetches.fetch_add(1, Ordering::Relaxed);
                async move {
                    tokio::task::yield_now().await;
                    fetched
                }
            };
            self.cache.get(key(number), at(now), fetch).await
        }

        fn fetches(&self) -> usize {
            self.fetches.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn a_token_is_fetched_once_for_all_who_need_it_and_until_it_ends() {
        let counted = Counted::default();
        let ten = (0..10).map(|_| counted.get(1, 0, issued(20)));
        let all = futures_util::future::join_all(ten).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(counted.fetches(), 1);
        counted.get(1, 19, issued(40)).await.unwrap();
        assert_eq!(counted.fetches(), 1);
        counted.get(1, 20, issued(40)).await.unwrap();
        assert_eq!(counted.fetches(), 2, "at its end it is fetched anew");
        counted.get(2, 20, issued(40)).await.unwrap();
        assert_eq!(counted.fetches(), 3, "another credential has another token");
    }

    #[tokio::test]
    async fn a_failure_is_shared_and_not_kept() {
        let counted = Counted::default();
        let (answer, answered) = tokio::sync::oneshot::channel();
        let first = counted.cache.get(key(1), at(0), || async { answered.await.unwrap() });
        let others = futures_util::future::join_all((0..9).map(|_| counted.get(1, 0, issued(20))));
        let answers = async { answer.send(Err(crashed())).ok() };
        let (first, others, _) = tokio::join!(first, others, answers);
        assert!(first.is_err() && others.iter().all(Result::is_err));
        assert_eq!(counted.fetches(), 0);
        counted.get(1, 0, issued(20)).await.unwrap();
        assert_eq!(counted.fetches(), 1);
    }

    #[tokio::test]
    async fn a_fetch_that_panics_fails_those_who_wait_and_nobody_else() {
        let counted = Counted::default();
        let ended = counted.cache.get(key(1), at(0), || async { panic!("a bug") }).await;
        assert_eq!(ended.err().map(|failure| failure.code), Some("panic"));
        counted.get(1, 0, issued(20)).await.unwrap();
    }

    #[tokio::test]
    async fn a_token_that_was_refused_is_forgotten_once() {
        let counted = Counted::default();
        let first = counted.get(1, 0, issued(20)).await.unwrap();
        counted.cache.forget(key(1), &first);
        let second = counted.get(1, 0, issued(20)).await.unwrap();
        counted.cache.forget(key(1), &first);
        let third = counted.get(1, 0, issued(20)).await.unwrap();
        assert!(Arc::ptr_eq(&second, &third), "one that took its place stays");
        assert_eq!(counted.fetches(), 2);
    }

    #[tokio::test]
    async fn a_fetch_that_nobody_went_on_with_is_begun_anew() {
        let counted = Counted::default();
        let hanging = || async { std::future::pending::<Fetched>().await };
        let begun = counted.cache.get(key(1), at(0), hanging);
        drop(futures_util::future::select(Box::pin(begun), std::future::ready(())).await);
        let waits = counted.get(1, FETCH_SECONDS_MAX - 1, issued(90)).now_or_never();
        assert!(waits.is_none(), "it is still waited for");
        counted.get(1, FETCH_SECONDS_MAX, issued(90)).await.unwrap();
        assert_eq!(counted.fetches(), 1);
    }

    #[tokio::test]
    async fn tokens_are_kept_up_to_a_number_i10() {
        let counted = Counted::default();
        for number in 0..TOKENS_MAX {
            counted.get(number, i64::try_from(number).unwrap(), issued(100_000)).await.unwrap();
        }
        let kept = || counted.cache.0.count();
        assert_eq!(kept(), TOKENS_MAX);
        for number in TOKENS_MAX..TOKENS_MAX + 1 {
            counted.get(number, 50_000, issued(100_000)).await.unwrap();
        }
        assert_eq!(kept(), TOKENS_MAX);
        counted.get(1, 50_000, issued(100_000)).await.unwrap();
        assert_eq!(counted.fetches(), TOKENS_MAX + 1, "only the oldest went");
    }
}
