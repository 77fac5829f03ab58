//! The things that nobody may see or do: secrets, tokens, roles, attacks.

mod credentials;
mod echo;
mod forged;
mod rewrap;
mod roles;
mod side_channels;
mod webhook_keys;
