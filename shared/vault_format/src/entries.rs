//! The bytes of `secrets.data`.
//!
//! ```text
//! version       1 byte, 1; 2 where an entry names places
//! count         2 bytes
//! entry × count, ascending by key name:
//!   version            1 byte, 1 or 2; in a list of version 2 only
//!   key name           2 bytes length, UTF-8
//!   host count         1 byte
//!   host × count       2 bytes length, ASCII
//!   place count        1 byte; in an entry of version 2 only
//!   place × count      2 bytes length, UTF-8, ascending, each once
//!   wrapped data key   2 bytes length, bytes as KMS gave them
//!   nonce              12 bytes
//!   ciphertext         4 bytes length, AES-256-GCM ciphertext and tag
//! ```
//!
//! Numbers are big-endian. A list has exactly one form, and the reader accepts no other. A list
//! that is read and written again has the same bytes, so a change of one entry leaves the others as
//! they were. An entry without places is one of version 1, byte for byte, in a list of either
//! version.

use domain::limits::{SECRET_KEYS_MAX, SECRET_VALUE_BYTES_MAX};
use domain::placement::{PLACEMENT_BYTES_MAX, Placement};

use domain::allowed_host::AllowedHost;

use crate::Bounds;

/// The version of lists and entries without places; the associated data holds it too.
pub const FORMAT_VERSION: u8 = 1;
/// The version of entries with places, and of lists that hold such an entry.
pub const FORMAT_VERSION_PLACES: u8 = 2;
/// Bytes of a key name.
pub const KEY_NAME_BYTES_MAX: usize = 128;
/// Hosts of one entry.
pub const HOSTS_MAX: usize = 20;
/// Places of one entry.
pub const PLACEMENTS_MAX: usize = 20;
/// Bytes of a wrapped data key: KMS's own limit of a ciphertext.
pub const WRAPPED_KEY_BYTES_MAX: usize = 6_144;
/// Bytes of a nonce of AES-256-GCM.
pub const NONCE_BYTES: usize = 12;
/// Bytes of the tag at a ciphertext's end.
pub const TAG_BYTES: usize = 16;
/// Bytes of a host as it is shown: brackets, colon and port included.
const HOST_BYTES_MAX: usize = 260;

/// The fault of a list of entries that can't be read or made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EntryError {
    /// The bytes are not in the form that this version writes: the row was damaged or tampered
    /// with.
    #[error("the sealed data is corrupt")]
    Corrupt,
    /// A newer version of sealflow wrote the bytes.
    #[error("the sealed data has a format of a newer version of sealflow")]
    UnknownVersion,
    /// A key name is empty, too long or has other characters than letters, digits, `_`, `-` and
    /// `.`.
    #[error("a key has 1 to {KEY_NAME_BYTES_MAX} letters, digits, `_`, `-` or `.`")]
    KeyName,
    /// The value has more bytes than a secret may have.
    #[error("a value of a secret has at most {SECRET_VALUE_BYTES_MAX} bytes")]
    ValueTooLong,
    /// The secret has as many keys as it may have.
    #[error("a secret has at most {SECRET_KEYS_MAX} keys")]
    TooManyKeys,
    /// The entry names more hosts than it may.
    #[error("a value of a secret names at most {HOSTS_MAX} hosts")]
    TooManyHosts,
    /// The entry names more places than it may.
    #[error("a value of a secret names at most {PLACEMENTS_MAX} places in a request")]
    TooManyPlacements,
}

/// One sealed value. Key name, hosts and places are readable without the data key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    key_name: String,
    bounds: Bounds,
    wrapped_data_key: Vec<u8>,
    nonce: [u8; NONCE_BYTES],
    ciphertext: Vec<u8>,
}

impl Entry {
    /// An entry of its parts; `ciphertext` ends with the tag.
    ///
    /// # Errors
    /// [`EntryError::KeyName`], [`EntryError::TooManyHosts`], [`EntryError::ValueTooLong`] are for
    /// the author of the secret. [`EntryError::Corrupt`] means that ciphertext or wrapped key can't
    /// be the result of sealing.
    pub fn new(
        key_name: String,
        bounds: Bounds,
        wrapped_data_key: Vec<u8>,
        nonce: [u8; NONCE_BYTES],
        ciphertext: Vec<u8>,
    ) -> Result<Self, EntryError> {
        Self::check_key_name(&key_name)?;
        if bounds.allowed_hosts().len() > HOSTS_MAX {
            return Err(EntryError::TooManyHosts);
        }
        if bounds.placements().len() > PLACEMENTS_MAX {
            return Err(EntryError::TooManyPlacements);
        }
        if ciphertext.len() > SECRET_VALUE_BYTES_MAX + TAG_BYTES {
            return Err(EntryError::ValueTooLong);
        }
        let wrapped = (1..=WRAPPED_KEY_BYTES_MAX).contains(&wrapped_data_key.len());
        if ciphertext.len() < TAG_BYTES || !wrapped {
            return Err(EntryError::Corrupt);
        }
        Ok(Self { key_name, bounds, wrapped_data_key, nonce, ciphertext })
    }

    /// Checks a key name before anything is sealed under it.
    ///
    /// # Errors
    /// [`EntryError::KeyName`].
    pub fn check_key_name(key_name: &str) -> Result<(), EntryError> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        let length = (1..=KEY_NAME_BYTES_MAX).contains(&key_name.len());
        if length && key_name.bytes().all(legal) { Ok(()) } else { Err(EntryError::KeyName) }
    }

    /// The same entry with its data key wrapped anew, for the move to another KMS key. The
    /// ciphertext is bound to neither the KMS key nor the wrapped data key.
    ///
    /// # Errors
    /// [`EntryError::Corrupt`] when these bytes can't be a wrapped key.
    pub fn with_wrapped_data_key(self, wrapped_data_key: Vec<u8>) -> Result<Self, EntryError> {
        Self::new(self.key_name, self.bounds, wrapped_data_key, self.nonce, self.ciphertext)
    }

    /// The key, as `secrets("name").key` names it.
    #[must_use]
    pub fn key_name(&self) -> &str {
        &self.key_name
    }

    /// The allowed hosts and places of the value.
    #[must_use]
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The data key as KMS wrapped it.
    #[must_use]
    pub fn wrapped_data_key(&self) -> &[u8] {
        &self.wrapped_data_key
    }

    /// The nonce of the ciphertext.
    #[must_use]
    pub fn nonce(&self) -> [u8; NONCE_BYTES] {
        self.nonce
    }

    /// The ciphertext with its tag.
    #[must_use]
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    /// Bytes of the value, from the length of the ciphertext.
    #[must_use]
    pub fn value_bytes(&self) -> usize {
        self.ciphertext.len() - TAG_BYTES
    }

    /// The oldest version that can hold this entry.
    fn version(&self) -> u8 {
        if self.bounds.placements().is_empty() { FORMAT_VERSION } else { FORMAT_VERSION_PLACES }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        write_short(bytes, self.key_name.as_bytes());
        bytes.push(u8::try_from(self.bounds.allowed_hosts().len()).expect("`new` holds it under HOSTS_MAX"));
        for host in self.bounds.allowed_hosts() {
            write_short(bytes, host.to_string().as_bytes());
        }
        if !self.bounds.placements().is_empty() {
            bytes.push(
                u8::try_from(self.bounds.placements().len()).expect("`new` holds it under PLACEMENTS_MAX"),
            );
            for placement in self.bounds.placements() {
                write_short(bytes, placement.to_string().as_bytes());
            }
        }
        write_short(bytes, &self.wrapped_data_key);
        bytes.extend_from_slice(&self.nonce);
        let length = u32::try_from(self.ciphertext.len()).expect("`new` holds it under the value's limit");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&self.ciphertext);
    }
}

/// The content of `secrets.data`: the sealed values of one secret, ascending by key name, each name
/// once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries(Vec<Entry>);

impl Entries {
    /// No entry yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads `secrets.data`.
    ///
    /// # Errors
    /// [`EntryError::UnknownVersion`] for bytes that another version may read.
    /// [`EntryError::Corrupt`] for all other bytes that [`Entries::to_bytes`] would not have
    /// written.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let mut reader = Reader(bytes);
        let [version] = reader.array()?;
        match version {
            0 => return Err(EntryError::Corrupt),
            FORMAT_VERSION | FORMAT_VERSION_PLACES => {}
            _ => return Err(EntryError::UnknownVersion),
        }
        let count = usize::from(reader.u16()?);
        if count > SECRET_KEYS_MAX {
            return Err(EntryError::Corrupt);
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(count);
        for _ in 0..count {
            let entry_version = if version == FORMAT_VERSION { version } else { reader.array::<1>()?[0] };
            let entry = reader.entry(entry_version)?;
            if entries.last().is_some_and(|last| last.key_name >= entry.key_name) {
                return Err(EntryError::Corrupt);
            }
            entries.push(entry);
        }
        let entries = Self(entries);
        let is_whole = reader.0.is_empty() && entries.version() == version;
        if is_whole { Ok(entries) } else { Err(EntryError::Corrupt) }
    }

    /// The bytes for `secrets.data`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let version = self.version();
        let mut bytes = vec![version];
        let count = u16::try_from(self.0.len()).expect("`put` holds it under the number of keys");
        bytes.extend_from_slice(&count.to_be_bytes());
        for entry in &self.0 {
            if version != FORMAT_VERSION {
                bytes.push(entry.version());
            }
            entry.write(&mut bytes);
        }
        bytes
    }

    /// The oldest version that can hold these entries.
    fn version(&self) -> u8 {
        self.0.iter().map(Entry::version).max().unwrap_or(FORMAT_VERSION)
    }

    /// The entry of one key.
    #[must_use]
    pub fn get(&self, key_name: &str) -> Option<&Entry> {
        self.position(key_name).ok().map(|at| &self.0[at])
    }

    /// Adds an entry, or replaces the one of the same key. The others keep their bytes.
    ///
    /// # Errors
    /// [`EntryError::TooManyKeys`] when the key is new and the secret has as many as are allowed.
    pub fn put(&mut self, entry: Entry) -> Result<(), EntryError> {
        match self.position(&entry.key_name) {
            Ok(at) => self.0[at] = entry,
            Err(_) if self.0.len() >= SECRET_KEYS_MAX => return Err(EntryError::TooManyKeys),
            Err(at) => self.0.insert(at, entry),
        }
        Ok(())
    }

    /// Removes the entry of one key. The others keep their bytes.
    pub fn remove(&mut self, key_name: &str) -> Option<Entry> {
        self.position(key_name).ok().map(|at| self.0.remove(at))
    }

    /// All entries, ascending by key name.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.0.iter()
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn position(&self, key_name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|entry| entry.key_name.as_str().cmp(key_name))
    }
}

fn write_short(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u16::try_from(part.len()).expect("every part has a limit far under 64 KiB");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(part);
}

/// The bytes that are left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], EntryError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(EntryError::Corrupt)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], EntryError> {
        self.take(N)?.try_into().map_err(|_| EntryError::Corrupt)
    }

    fn u16(&mut self) -> Result<u16, EntryError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn short(&mut self, bytes_max: usize) -> Result<&'a [u8], EntryError> {
        let length = usize::from(self.u16()?);
        if length > bytes_max {
            return Err(EntryError::Corrupt);
        }
        self.take(length)
    }

    fn text(&mut self, bytes_max: usize) -> Result<&'a str, EntryError> {
        std::str::from_utf8(self.short(bytes_max)?).map_err(|_| EntryError::Corrupt)
    }

    fn host(&mut self) -> Result<AllowedHost, EntryError> {
        let text = self.text(HOST_BYTES_MAX)?;
        let host: AllowedHost = text.parse().map_err(|_| EntryError::Corrupt)?;
        if host.to_string() == text { Ok(host) } else { Err(EntryError::Corrupt) }
    }

    fn placement(&mut self) -> Result<Placement, EntryError> {
        let text = self.text(PLACEMENT_BYTES_MAX)?;
        let placement: Placement = text.parse().map_err(|_| EntryError::Corrupt)?;
        if placement.to_string() == text { Ok(placement) } else { Err(EntryError::Corrupt) }
    }

    fn placements(&mut self, version: u8) -> Result<Vec<Placement>, EntryError> {
        match version {
            FORMAT_VERSION => return Ok(Vec::new()),
            FORMAT_VERSION_PLACES => {}
            _ => return Err(EntryError::Corrupt),
        }
        let [count] = self.array()?;
        let placements = (0..count).map(|_| self.placement()).collect::<Result<Vec<_>, _>>()?;
        let is_ascending = placements.windows(2).all(|pair| pair[0] < pair[1]);
        if placements.is_empty() || !is_ascending { Err(EntryError::Corrupt) } else { Ok(placements) }
    }

    fn entry(&mut self, version: u8) -> Result<Entry, EntryError> {
        let key_name = self.text(KEY_NAME_BYTES_MAX)?.to_owned();
        let [host_count] = self.array()?;
        let hosts = (0..host_count).map(|_| self.host()).collect::<Result<_, _>>()?;
        let placements = self.placements(version)?;
        let wrapped_data_key = self.short(WRAPPED_KEY_BYTES_MAX)?.to_vec();
        let nonce = self.array()?;
        let length = u32::from_be_bytes(self.array()?);
        let ciphertext = self.take(usize::try_from(length).map_err(|_| EntryError::Corrupt)?)?.to_vec();
        Entry::new(key_name, Bounds::new(hosts, placements), wrapped_data_key, nonce, ciphertext)
            .map_err(|_| EntryError::Corrupt)
    }
}

#[cfg(test)]
mod tests;
