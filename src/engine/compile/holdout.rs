//! Holdouts in both stored forms, and the variants that they answer with.

use super::Compiler;
use crate::definition::RawFlag;
use crate::engine::bucket::Rollout;
use crate::engine::outcome::VariantIndex;
use crate::engine::project::Holdout;

impl Compiler<'_> {
    pub(super) fn holdout(&self, flag: usize, raw: &RawFlag) -> Holdout {
        let variant = |text: &str| self.variant(flag, text).unwrap_or(VariantIndex(0));
        if let Some(holdout) = &raw.filters.holdout {
            let share = holdout.exclusion_percentage.clamp(0.0, 100.0);
            let rollout = if share < 100.0 {
                Rollout::UpTo(share / 100.0)
            } else {
                Rollout::All
            };
            return Holdout::Object {
                rollout,
                variant: variant(&holdout_text(holdout.id)),
            };
        }
        let Some(set) = raw.filters.holdout_groups.as_ref().and_then(|sets| sets.first()) else {
            return Holdout::None;
        };
        if set
            .properties
            .as_ref()
            .is_some_and(|properties| !properties.is_empty())
        {
            return Holdout::None;
        }
        let rollout = match set.rollout_percentage {
            Some(share) if share < 100.0 => Rollout::UpTo(share / 100.0),
            _ => Rollout::All,
        };
        Holdout::Legacy {
            rollout,
            variant: set.variant.as_deref().map(variant),
            fallback: variant(HOLDOUT_TEXT),
        }
    }
}

/// Variant of legacy holdouts that name none.
const HOLDOUT_TEXT: &str = "holdout";

fn holdout_text(id: i64) -> String {
    format!("holdout-{id}")
}

/// Every variant text that a flag can answer with, each once, hashed variants first, and their number.
pub(super) fn variant_texts(flag: &RawFlag) -> (Vec<Box<str>>, usize) {
    let mut texts: Vec<Box<str>> = Vec::new();
    let mut add = |text: &str| {
        if !texts.iter().any(|known| **known == *text) {
            texts.push(text.into());
        }
        texts.len()
    };
    let mut hashed = 0;
    for variant in flag
        .filters
        .multivariate
        .iter()
        .flat_map(|multivariate| &multivariate.variants)
    {
        hashed = add(&variant.key);
    }
    if let Some(holdout) = &flag.filters.holdout {
        add(&holdout_text(holdout.id));
    } else if let Some(set) = flag.filters.holdout_groups.as_ref().and_then(|sets| sets.first()) {
        add(set.variant.as_deref().unwrap_or(HOLDOUT_TEXT));
        add(HOLDOUT_TEXT);
    }
    (texts, hashed)
}
