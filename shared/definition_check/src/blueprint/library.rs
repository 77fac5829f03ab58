//! The blueprints that a definition may use.

use std::collections::BTreeMap;

use components::suggest::did_you_mean;

use super::{Blueprint, BlueprintRef, Size};

/// The blueprints of an organization, as far as a check needs them.
#[derive(Clone, Debug, Default)]
pub struct Library {
    blueprints: BTreeMap<BlueprintRef, (Blueprint, Size)>,
    /// The newest version of each name.
    newest: BTreeMap<String, i64>,
    /// Whether nothing is known: a check without an API takes each name.
    is_unknown: bool,
}

/// A blueprint that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Blueprints aren't known here.
    Unknown,
    /// There is none of that name and version; a sentence for the author.
    Refused(String),
}

impl Library {
    /// The library of a check without an API: it knows no blueprint, and takes each.
    #[must_use]
    pub fn unknown() -> Self {
        Self { is_unknown: true, ..Self::default() }
    }

    /// A library with these blueprints, and the newest version of each name.
    #[must_use]
    pub fn of(
        blueprints: impl IntoIterator<Item = (BlueprintRef, Blueprint)>,
        newest: impl IntoIterator<Item = (String, i64)>,
    ) -> Self {
        Self {
            blueprints: blueprints
                .into_iter()
                .map(|(reference, blueprint)| {
                    let size = blueprint.size();
                    (reference, (blueprint, size))
                })
                .collect(),
            newest: newest.into_iter().collect(),
            is_unknown: false,
        }
    }

    /// The size of what a node stands for; nothing where there is no such blueprint.
    pub(crate) fn size(&self, text: &str) -> Size {
        let found = BlueprintRef::parse(text).and_then(|reference| self.blueprints.get(&reference));
        found.map(|(_, size)| *size).unwrap_or_default()
    }

    /// The blueprint that a node names.
    ///
    /// # Errors
    /// [`Missing`] where it can't be used.
    pub fn find(&self, text: &str) -> Result<&Blueprint, Missing> {
        let refused = |message: String| Err(Missing::Refused(message));
        let reference = BlueprintRef::parse(text);
        if self.is_unknown {
            return match reference {
                Some(_) => Err(Missing::Unknown),
                None => refused(format!("must name a version, such as `{}@1`", first_part(text))),
            };
        }
        if let Some((found, _)) = reference.as_ref().and_then(|reference| self.blueprints.get(reference)) {
            return Ok(found);
        }
        let name = first_part(text);
        match (self.newest.get(name), reference) {
            (Some(newest), None) => refused(format!("must name a version: the newest is `{name}@{newest}`")),
            (Some(newest), Some(reference)) => refused(format!(
                "there is no version {} of the blueprint `{name}`; the newest is {newest}",
                reference.version
            )),
            (None, _) if self.newest.is_empty() => refused(format!(
                "there is no blueprint named `{name}`; there are none yet: see `sealflow blueprint apply`"
            )),
            (None, _) => {
                let mut hint = did_you_mean(name, self.newest.keys().map(String::as_str));
                if hint.is_empty() {
                    hint = "; `sealflow blueprint list` shows those that are there".to_owned();
                }
                refused(format!("there is no blueprint named `{name}`{hint}"))
            }
        }
    }
}

/// The name in a reference.
fn first_part(text: &str) -> &str {
    text.split('@').next().unwrap_or_default()
}
