//! Permissions: roles, grants and actions, as one pure table.

use crate::words::words;

words! {
    /// The roles of members and tokens, from least to most: each role may do all that the one
    /// before it may. `api_tokens.role`.
    pub enum Role {
        /// Sees runs without their data.
        Viewer = "viewer",
        /// Starts, cancels, repeats and releases.
        Operator = "operator",
        /// Applies workflows, and sets secrets where it is granted.
        Editor = "editor",
        /// Sets members, tokens, and where secrets may go.
        Admin = "admin",
        /// Everything; only an owner deletes the organization.
        Owner = "owner",
    }
}

words! {
    /// The rights that a role does not settle alone: `api_tokens.grants`.
    pub enum Grant {
        /// Sees what runs carry: data of events, configurations, names, keys.
        DataRead = "data:read",
        /// Sets and deletes secrets and the keys of webhooks.
        SecretsWrite = "secrets:write",
    }
}

words! {
    /// An action of the API. Each route names its own.
    pub enum Action {
        /// Sees the organization, and oneself.
        OrganizationRead = "organization:read",
        /// Changes the organization's settings.
        OrganizationWrite = "organization:write",
        /// Deletes the organization.
        OrganizationDelete = "organization:delete",
        /// Sees workflows.
        WorkflowsRead = "workflows:read",
        /// Applies and deletes workflows.
        WorkflowsWrite = "workflows:write",
        /// Sees runs, executions, events, dead letters and what waits.
        RunsRead = "runs:read",
        /// Starts a run.
        RunsStart = "runs:start",
        /// Cancels a run or an execution.
        RunsCancel = "runs:cancel",
        /// Redrives a failed execution.
        RunsRedrive = "runs:redrive",
        /// Lets a held execution go on.
        RunsRelease = "runs:release",
        /// Decides what an approval asks, where the approval names them.
        ApprovalsDecide = "approvals:decide",
        /// Sees what runs carry.
        DataRead = "data:read",
        /// Sees names of secrets and where they may go.
        SecretsRead = "secrets:read",
        /// Sets and deletes secrets.
        SecretsWrite = "secrets:write",
        /// Changes where a secret that is there may go.
        SecretsBounds = "secrets:bounds",
        /// Sees webhooks.
        WebhooksRead = "webhooks:read",
        /// Changes the key or token of a webhook.
        WebhooksWrite = "webhooks:write",
        /// Sees tokens.
        TokensRead = "tokens:read",
        /// Makes and revokes tokens.
        TokensWrite = "tokens:write",
        /// Sees members.
        MembersRead = "members:read",
        /// Invites, changes and removes members.
        MembersWrite = "members:write",
        /// Sees who did what.
        AuditRead = "audit:read",
    }
}

impl Role {
    /// The grants of the role where none are named.
    #[must_use]
    pub fn usual_grants(self) -> Grants {
        Grants { data_read: self >= Self::Operator, secrets_write: self >= Self::Editor }
    }

    /// The least role that may do this, whatever its grants.
    fn needed(action: Action) -> Self {
        match action {
            Action::OrganizationRead
            | Action::WorkflowsRead
            | Action::RunsRead
            | Action::DataRead
            | Action::MembersRead => Self::Viewer,
            Action::RunsStart
            | Action::RunsCancel
            | Action::RunsRedrive
            | Action::RunsRelease
            | Action::ApprovalsDecide
            | Action::SecretsRead
            | Action::WebhooksRead => Self::Operator,
            Action::WorkflowsWrite | Action::SecretsWrite | Action::WebhooksWrite => Self::Editor,
            Action::OrganizationWrite
            | Action::SecretsBounds
            | Action::TokensRead
            | Action::TokensWrite
            | Action::MembersWrite
            | Action::AuditRead => Self::Admin,
            Action::OrganizationDelete => Self::Owner,
        }
    }
}

/// The grants of one actor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// [`Grant::DataRead`]
    pub data_read: bool,
    /// [`Grant::SecretsWrite`]
    pub secrets_write: bool,
}

impl Grants {
    /// The grants of a list.
    #[must_use]
    pub fn of(list: &[Grant]) -> Self {
        Self {
            data_read: list.contains(&Grant::DataRead),
            secrets_write: list.contains(&Grant::SecretsWrite),
        }
    }

    /// The grants as a list, in the order of their words.
    #[must_use]
    pub fn list(self) -> Vec<Grant> {
        Grant::ALL.iter().copied().filter(|grant| self.has(*grant)).collect()
    }

    fn has(self, grant: Grant) -> bool {
        match grant {
            Grant::DataRead => self.data_read,
            Grant::SecretsWrite => self.secrets_write,
        }
    }
}

/// The role and grants of an actor.
///
/// ```
/// use domain::access::{Access, Action, Grants, Role};
/// let viewer = Access::new(Role::Viewer, Grants::default());
/// assert!(viewer.can(Action::RunsRead) && !viewer.can(Action::DataRead));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    role: Role,
    grants: Grants,
}

impl Access {
    /// The access of a role with these grants. An owner has all.
    #[must_use]
    pub fn new(role: Role, grants: Grants) -> Self {
        let is_owner = role == Role::Owner;
        let grants = Grants {
            data_read: grants.data_read || is_owner,
            secrets_write: (grants.secrets_write || is_owner) && role >= Role::Editor,
        };
        Self { role, grants }
    }

    /// The role.
    #[must_use]
    pub fn role(self) -> Role {
        self.role
    }

    /// The grants.
    #[must_use]
    pub fn grants(self) -> Grants {
        self.grants
    }

    /// Whether the actor may do this.
    #[must_use]
    pub fn can(self, action: Action) -> bool {
        let is_granted = match action {
            Action::DataRead => self.grants.data_read,
            Action::SecretsWrite | Action::WebhooksWrite => self.grants.secrets_write,
            _ => true,
        };
        is_granted && self.role >= Role::needed(action)
    }

    /// The access that both have. A token may do no more than its maker, whatever the maker has lost since.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let grants = Grants {
            data_read: self.grants.data_read && other.grants.data_read,
            secrets_write: self.grants.secrets_write && other.grants.secrets_write,
        };
        Self { role: self.role.min(other.role), grants }
    }

    /// Whether the actor may give another one this access, or take it away: nobody gives what they
    /// don't have.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.and(other) == other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of docs/api.md: each action with the letters of the roles that may do it, with the
    /// usual grants.
    const TABLE: &[(Action, &str)] = &[
        (Action::OrganizationRead, "voeaO"),
        (Action::OrganizationWrite, "aO"),
        (Action::OrganizationDelete, "O"),
        (Action::WorkflowsRead, "voeaO"),
        (Action::WorkflowsWrite, "eaO"),
        (Action::RunsRead, "voeaO"),
        (Action::RunsStart, "oeaO"),
        (Action::RunsCancel, "oeaO"),
        (Action::RunsRedrive, "oeaO"),
        (Action::RunsRelease, "oeaO"),
        (Action::ApprovalsDecide, "oeaO"),
        (Action::DataRead, "oeaO"),
        (Action::SecretsRead, "oeaO"),
        (Action::SecretsWrite, "eaO"),
        (Action::SecretsBounds, "aO"),
        (Action::WebhooksRead, "oeaO"),
        (Action::WebhooksWrite, "eaO"),
        (Action::TokensRead, "aO"),
        (Action::TokensWrite, "aO"),
        (Action::MembersRead, "voeaO"),
        (Action::MembersWrite, "aO"),
        (Action::AuditRead, "aO"),
    ];

    fn letter(role: Role) -> char {
        match role {
            Role::Viewer => 'v',
            Role::Operator => 'o',
            Role::Editor => 'e',
            Role::Admin => 'a',
            Role::Owner => 'O',
        }
    }

    #[test]
    fn every_role_may_do_what_the_table_says_and_nothing_else() {
        assert_eq!(TABLE.len(), Action::ALL.len(), "the table has every action");
        for (action, roles) in TABLE {
            for role in Role::ALL.iter().copied() {
                let access = Access::new(role, role.usual_grants());
                assert_eq!(access.can(*action), roles.contains(letter(role)), "{role} {action}");
            }
        }
    }

    #[test]
    fn grants_are_apart_from_roles() {
        let none = Grants::default();
        let admin = Access::new(Role::Admin, none);
        assert!(
            !admin.can(Action::DataRead)
                && !admin.can(Action::SecretsWrite)
                && !admin.can(Action::WebhooksWrite)
        );
        let viewer = Access::new(Role::Viewer, Grants { data_read: true, secrets_write: true });
        assert!(viewer.can(Action::DataRead) && !viewer.can(Action::SecretsWrite), "a viewer writes nothing");
        let owner = Access::new(Role::Owner, none);
        assert!(Action::ALL.iter().all(|action| owner.can(*action)), "an owner has all");
        assert_eq!(Grants::of(Grant::ALL).list(), Grant::ALL);
        assert_eq!(none.list(), []);
    }

    #[test]
    fn nobody_gives_more_than_they_have() {
        let all = |role: Role| Access::new(role, role.usual_grants());
        assert!(all(Role::Owner).covers(all(Role::Owner)) && all(Role::Admin).covers(all(Role::Editor)));
        assert!(!all(Role::Admin).covers(all(Role::Owner)) && !all(Role::Viewer).covers(all(Role::Operator)));
        let blind = Access::new(Role::Admin, Grants::default());
        assert!(!blind.covers(all(Role::Operator)), "it would see through another's eyes");
        assert_eq!(blind.and(all(Role::Operator)), Access::new(Role::Operator, Grants::default()));
    }
}
