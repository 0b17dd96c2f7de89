//! From a hash to a decision: rollout thresholds and variant boundaries (`evaluation.md` 11.5, 11.6).

use super::outcome::VariantIndex;

/// Share of identifiers that are inside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rollout {
    /// Exactly 100 percent: no hash is computed, the identifier is not even looked at.
    All,
    /// Inside when the hash is at most this. Not clamped.
    UpTo(f64),
}

/// One hashed variant: chosen when the hash is below the boundary.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// Running sum of the shares, each divided by 100 before it is added.
    pub boundary: f64,
    /// The variant.
    pub variant: VariantIndex,
}

impl Rollout {
    /// From a stored percentage; none is 100.
    #[must_use]
    pub fn from_percentage(percentage: Option<f64>) -> Self {
        match percentage {
            None | Some(100.0) => Self::All,
            Some(share) => Self::UpTo(share / 100.0),
        }
    }

    /// Whether an identifier with this hash is inside.
    #[must_use]
    pub fn includes(self, hash: f64) -> bool {
        match self {
            Self::All => true,
            Self::UpTo(share) => hash <= share,
        }
    }
}

/// The variant of a hash: the first whose boundary lies above it; none beyond the last.
#[must_use]
pub fn choose_variant(buckets: &[Bucket], hash: f64) -> Option<VariantIndex> {
    buckets
        .iter()
        .find(|bucket| hash < bucket.boundary)
        .map(|bucket| bucket.variant)
}
