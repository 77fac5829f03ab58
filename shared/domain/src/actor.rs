//! The actor who did something: `created_by` and the like.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use crate::function::Function;
use crate::ids::TokenId;
use crate::words::words;

words! {
    /// The kind of an actor.
    pub enum ActorKind {
        /// A function of its own accord.
        Function = "function",
        /// The holder of a token of the API.
        Token = "token",
        /// A person, by the token that is theirs.
        Member = "member",
        /// Whoever operates the installation.
        Operator = "operator",
    }
}

/// The actor of a recorded change.
///
/// It is kept as one text: the name of a function, `operator`, or kind, id and name with colons
/// between. Rows of earlier versions have no id.
///
/// ```
/// use domain::actor::Actor;
/// let actor: Actor = "token:ci".parse().unwrap();
/// assert_eq!((actor.name.as_str(), actor.id), ("ci", None));
/// assert_eq!(actor.to_string(), "token:ci");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Its kind.
    pub kind: ActorKind,
    /// The token's id, for tokens and members; None in rows of earlier versions.
    pub id: Option<TokenId>,
    /// The name by which people know it.
    pub name: String,
}

impl Actor {
    /// A function.
    #[must_use]
    pub fn function(function: Function) -> Self {
        Self { kind: ActorKind::Function, id: None, name: function.as_str().to_owned() }
    }

    /// A token of which the name alone is known.
    #[must_use]
    pub fn token_named(name: &str) -> Self {
        Self { kind: ActorKind::Token, id: None, name: name.to_owned() }
    }

    /// Whoever operates the installation.
    #[must_use]
    pub fn operator() -> Self {
        Self { kind: ActorKind::Operator, id: None, name: ActorKind::Operator.as_str().to_owned() }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.id) {
            (ActorKind::Function | ActorKind::Operator, _) => f.write_str(&self.name),
            (kind, Some(id)) => write!(f, "{kind}:{id}:{}", self.name),
            (kind, None) => write!(f, "{kind}:{}", self.name),
        }
    }
}

impl FromStr for Actor {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (kind, rest) = match text.split_once(':') {
            Some(("token", rest)) => (ActorKind::Token, rest),
            Some(("member", rest)) => (ActorKind::Member, rest),
            _ if text == ActorKind::Operator.as_str() => return Ok(Self::operator()),
            _ => return Ok(Self { kind: ActorKind::Function, id: None, name: text.to_owned() }),
        };
        let with_id = rest.split_once(':').and_then(|(id, name)| Some((id.parse().ok()?, name)));
        Ok(match with_id {
            Some((id, name)) => Self { kind, id: Some(id), name: name.to_owned() },
            None => Self { kind, id: None, name: rest.to_owned() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_reads_back_from_its_one_spelling() {
        let id = TokenId::from_u128(7);
        let check = |actor: Actor, text: &str| {
            assert_eq!(actor.to_string(), text);
            assert_eq!(text.parse(), Ok(actor));
        };
        let token = |name: &str| Actor { kind: ActorKind::Token, id: Some(id), name: name.to_owned() };
        check(Actor::function(Function::Builder), "builder");
        check(Actor::operator(), "operator");
        check(token("ci"), &format!("token:{id}:ci"));
        check(token("a:b"), &format!("token:{id}:a:b"));
        check(
            Actor { kind: ActorKind::Member, ..token("ann@example.com") },
            &format!("member:{id}:ann@example.com"),
        );
        // As earlier versions wrote it.
        check(Actor { kind: ActorKind::Token, id: None, name: "a:b".to_owned() }, "token:a:b");
    }
}
