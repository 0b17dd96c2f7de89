//! A set of teams as operators write it.

use std::ops::RangeInclusive;

use super::parse::Expected;

/// `all` or `*`, `none`, or ids and inclusive ranges: `1,5,10:20` (`http.md` 16.1, `TEAM_IDS_TO_TRACK`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TeamSet {
    /// Every team.
    All,
    /// No team.
    None,
    /// These ranges of ids.
    Only(Vec<RangeInclusive<i32>>),
}

impl TeamSet {
    /// Whether a team belongs to the set.
    #[must_use]
    pub fn contains(&self, team_id: i32) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Only(ranges) => ranges.iter().any(|range| range.contains(&team_id)),
        }
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// On anything that is no id, range or word; a range that runs backwards included.
    pub fn parse(text: &str) -> Result<Self, Expected> {
        const EXPECTED: &str = "all, none, or team ids and ranges such as 1,5,10:20";
        match text.trim() {
            "all" | "*" => Ok(Self::All),
            "none" | "" => Ok(Self::None),
            list => list
                .split(',')
                .map(|part| range(part.trim()).ok_or(Expected::from(EXPECTED)))
                .collect::<Result<Vec<_>, _>>()
                .map(Self::Only),
        }
    }
}

fn range(part: &str) -> Option<RangeInclusive<i32>> {
    let (first, last) = part.split_once(':').unwrap_or((part, part));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::TeamSet;

    #[test]
    fn ids_and_ranges_are_inclusive() {
        let set = TeamSet::parse("1, 5,10:20").unwrap();
        let inside: Vec<i32> = (0..30).filter(|id| set.contains(*id)).collect();
        assert_eq!(inside, [1, 5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
    }

    #[test]
    fn words_stand_for_everything_and_nothing() {
        assert_eq!(TeamSet::parse("*").unwrap(), TeamSet::All);
        assert!(TeamSet::parse("all").unwrap().contains(7));
        assert!(!TeamSet::parse("none").unwrap().contains(7));
    }

    #[test]
    fn broken_lists_are_refused() {
        for text in ["1,,2", "a", "20:10", "1:2:3", "1-2"] {
            assert!(TeamSet::parse(text).is_err(), "{text}");
        }
    }
}
