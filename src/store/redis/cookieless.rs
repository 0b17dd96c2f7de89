//! Salts and identify counts of cookieless identities (`storage.md` 6.7), shared with the ingestion side.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::cmd;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Client, RedisError};

/// Lifetime of a salt in Redis (`storage.md` 6.7, step 3).
pub const SALT_TTL: Duration = Duration::from_secs(86_400);

/// Reads and, where it may, creates salts.
#[derive(Debug, Clone)]
pub struct CookielessStore {
    client: Arc<Client>,
    writes_allowed: bool,
}

/// Why there is no salt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaltError {
    /// No answer.
    Redis(RedisError),
    /// The stored value is not base64 of 16 bytes.
    Corrupt,
    /// There is none, and this process writes nothing.
    Absent,
}

impl fmt::Display for SaltError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis(error) => write!(formatter, "salt: {error}"),
            Self::Corrupt => formatter.write_str("stored salt is not base64 of 16 bytes"),
            Self::Absent => formatter.write_str("no salt for this day, and none may be written"),
        }
    }
}

impl std::error::Error for SaltError {}

impl From<RedisError> for SaltError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl CookielessStore {
    /// Over a client of its own or the shared one. `writes_allowed`: false under `SKIP_WRITES`.
    #[must_use]
    pub fn new(client: Arc<Client>, writes_allowed: bool) -> Self {
        Self {
            client,
            writes_allowed,
        }
    }

    /// The salt of a day (`YYYY-MM-DD`), made if there is none. A stored one is never overwritten.
    ///
    /// # Errors
    /// Redis gave no answer, or something that is no salt.
    pub async fn salt(&self, day: &str) -> Result<[u8; 16], SaltError> {
        let key = format!("cookieless_salt:{day}");
        if let Some(stored) = self.stored(&key).await? {
            return decode(&stored);
        }
        if !self.writes_allowed {
            return Err(SaltError::Absent);
        }
        let salt = generate();
        let mut set = cmd("SET");
        set.arg(&key)
            .arg(base64_simd::STANDARD.encode_to_string(salt))
            .arg("NX")
            .arg("EX")
            .arg(SALT_TTL.as_secs());
        let won: Option<String> = self.client.write(&set).await?;
        if won.is_some() {
            return Ok(salt);
        }
        let stored = self.stored(&key).await?;
        decode(&stored.ok_or(SaltError::Absent)?)
    }

    /// How many people of a team identified from one hash: members of the set that ingestion keeps.
    ///
    /// # Errors
    /// Redis gave no answer.
    pub async fn identify_count(&self, team_id: i32, hash: &str) -> Result<u64, RedisError> {
        let mut count = cmd("SCARD");
        count.arg(format!("cklsi:{team_id}:{hash}"));
        self.client.read(&count).await
    }

    /// From the primary: a replica that lags would hide a salt that another process has just made.
    async fn stored(&self, key: &str) -> Result<Option<Vec<u8>>, RedisError> {
        self.client.writer().query(cmd("GET").arg(key)).await
    }
}

fn decode(stored: &[u8]) -> Result<[u8; 16], SaltError> {
    let text = stored.strip_prefix(b"\"").unwrap_or(stored);
    let text = text.strip_suffix(b"\"").unwrap_or(text);
    let bytes = base64_simd::STANDARD
        .decode_to_vec(text)
        .map_err(|_| SaltError::Corrupt)?;
    bytes.try_into().map_err(|_| SaltError::Corrupt)
}

/// 128 bits from 244 random ones of the system's generator.
fn generate() -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(Uuid::new_v4().as_bytes());
    hash.update(Uuid::new_v4().as_bytes());
    let mut salt = [0; 16];
    salt.copy_from_slice(&hash.finalize()[..16]);
    salt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts_are_read_with_and_without_quotes() {
        let salt = generate();
        let text = base64_simd::STANDARD.encode_to_string(salt);
        assert_eq!(decode(text.as_bytes()), Ok(salt));
        assert_eq!(decode(format!("\"{text}\"").as_bytes()), Ok(salt));
        for corrupt in ["", "\"", "AAAA", "not base64 at all", "AAAAAAAAAAAAAAAAAAAAAAA="] {
            assert_eq!(decode(corrupt.as_bytes()), Err(SaltError::Corrupt), "{corrupt}");
        }
        assert_ne!(generate(), generate());
    }
}
