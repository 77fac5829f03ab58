//! Everything that must stay secret or forbidden: secrets, tokens, roles, attacks.

mod access;
mod audit;
mod credentials;
mod echo;
mod forged;
mod rewrap;
mod roles;
mod side_channels;
mod webhook_keys;
