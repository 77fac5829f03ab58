//! The scope that an entry is bound to.

use std::collections::HashMap;

use domain::ids::OrganizationId;
use uuid::Uuid;

use crate::{Bounds, FORMAT_VERSION, FORMAT_VERSION_PLACES};

/// The purpose of a sealed value. A function that may open one purpose can't open another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// A secret of the organization; only the executor opens it.
    Secret,
    /// A signing key of a webhook; only the webhook function opens it.
    Webhook,
}

impl Purpose {
    /// The word in the encryption context; key policies compare it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Webhook => "webhook",
        }
    }
}

/// The owner and the purpose that an entry is sealed for. An entry opens in no other scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// `organizations.id`, looked up in the database and never taken from a message.
    pub organization_id: OrganizationId,
    /// `secrets.id`; for [`Purpose::Webhook`] the webhook's id.
    pub secret_id: Uuid,
    /// The purpose of the value.
    pub purpose: Purpose,
}

impl Scope {
    /// KMS's encryption context of the data key: `organization_id`, `secret_id`, `purpose`.
    #[must_use]
    pub fn encryption_context(&self) -> HashMap<String, String> {
        HashMap::from([
            ("organization_id".to_owned(), self.organization_id.to_string()),
            ("secret_id".to_owned(), self.secret_id.to_string()),
            ("purpose".to_owned(), self.purpose.as_str().to_owned()),
        ])
    }

    /// The associated data of one entry's ciphertext. Every part has its length before it, so that
    /// no two different entries have the same bytes. An entry without places has the same
    /// associated data as in the format before places.
    #[must_use]
    pub fn associated_data(&self, key_name: &str, bounds: &Bounds) -> Vec<u8> {
        let (allowed_hosts, placements) = (bounds.allowed_hosts(), bounds.placements());
        let mut bytes = b"sealflow vault entry\0".to_vec();
        bytes.push(if placements.is_empty() { FORMAT_VERSION } else { FORMAT_VERSION_PLACES });
        bytes.extend_from_slice(self.organization_id.0.as_bytes());
        bytes.extend_from_slice(self.secret_id.as_bytes());
        push_part(&mut bytes, self.purpose.as_str());
        push_part(&mut bytes, key_name);
        bytes.extend_from_slice(&length(allowed_hosts.len()));
        for host in allowed_hosts {
            push_part(&mut bytes, &host.to_string());
        }
        if !placements.is_empty() {
            bytes.extend_from_slice(&length(placements.len()));
            for placement in placements {
                push_part(&mut bytes, &placement.to_string());
            }
        }
        bytes
    }
}

fn push_part(bytes: &mut Vec<u8>, part: &str) {
    bytes.extend_from_slice(&length(part.len()));
    bytes.extend_from_slice(part.as_bytes());
}

fn length(count: usize) -> [u8; 8] {
    u64::try_from(count).expect("no length on earth needs more than 64 bits").to_be_bytes()
}

#[cfg(test)]
mod tests {
    use domain::placement::Placement;

    use super::*;
    use domain::allowed_host::AllowedHost;

    fn scope(organization: u128, secret: u128, purpose: Purpose) -> Scope {
        Scope {
            organization_id: OrganizationId::from_u128(organization),
            secret_id: Uuid::from_u128(secret),
            purpose,
        }
    }

    #[test]
    fn associated_data_tells_every_part_apart_i6() {
        let host = |text: &str| text.parse::<AllowedHost>().unwrap();
        let place = |text: &str| text.parse::<Placement>().unwrap();
        let base = scope(1, 2, Purpose::Secret);
        let all = [
            base.associated_data("token", &Bounds::new(vec![], vec![])),
            base.associated_data("tokens", &Bounds::new(vec![], vec![])),
            base.associated_data("token", &Bounds::new(vec![host("a.example")], vec![])),
            base.associated_data("token", &Bounds::new(vec![host("a.example:443")], vec![])),
            base.associated_data("token", &Bounds::new(vec![host("a.example"), host("b.example")], vec![])),
            base.associated_data("token", &Bounds::new(vec![host("b.example"), host("a.example")], vec![])),
            base.associated_data("token", &Bounds::new(vec![], vec![place("body")])),
            base.associated_data("token", &Bounds::new(vec![], vec![place("body"), place("path")])),
            base.associated_data("token", &Bounds::new(vec![host("a.example")], vec![place("body")])),
            base.associated_data("token", &Bounds::new(vec![], vec![place("header:a.example")])),
            scope(1, 2, Purpose::Webhook).associated_data("token", &Bounds::new(vec![], vec![])),
            scope(2, 1, Purpose::Secret).associated_data("token", &Bounds::new(vec![], vec![])),
            scope(1, 3, Purpose::Secret).associated_data("token", &Bounds::new(vec![], vec![])),
        ];
        for (i, one) in all.iter().enumerate() {
            for other in &all[i + 1..] {
                assert_ne!(one, other);
            }
        }
    }

    #[test]
    fn the_context_names_organization_secret_and_purpose_i6() {
        let context = scope(1, 2, Purpose::Webhook).encryption_context();
        assert_eq!(context.len(), 3);
        assert_eq!(context["organization_id"], "00000000-0000-0000-0000-000000000001");
        assert_eq!(context["secret_id"], "00000000-0000-0000-0000-000000000002");
        assert_eq!(context["purpose"], "webhook");
    }
}
