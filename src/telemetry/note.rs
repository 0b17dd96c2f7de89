//! What one evaluation request says of itself: filled on its way, counted and logged at its end.
//!
//! Plain data of a fixed size in memory that is reused, so that filling it allocates nothing and handing it to the writer
//! of the log is one copy. Texts are cut to what fits.

use std::cell::RefCell;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use super::teams::TeamSlot;
use super::trace::TraceIds;
use crate::evaluation::Gathering;
use crate::wire::Kludges;

/// Notes that an idle thread keeps; a burst of waiting requests does not leave more behind.
const KEPT_PER_THREAD: usize = 64;

/// One request in so many has the stages of its work timed: a clock costs some 25 ns a look.
pub const SAMPLED_ONE_IN: u32 = 16;

/// A part of the work on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Body to request.
    Decode,
    /// Token to team.
    Snapshot,
    /// Stored facts and continuity rows.
    Gather,
    /// Flags to records.
    Evaluate,
    /// Records to bytes.
    Encode,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 5] = [
        Self::Decode,
        Self::Snapshot,
        Self::Gather,
        Self::Evaluate,
        Self::Encode,
    ];

    /// Label `stage`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Snapshot => "snapshot",
            Self::Gather => "gather",
            Self::Evaluate => "evaluate",
            Self::Encode => "encode",
        }
    }
}

/// Times of the stages of a request that is timed.
#[derive(Debug, Clone, Copy, Default)]
pub struct StageTimes {
    began: Option<Instant>,
    last: Option<Instant>,
    spent: [Duration; Stage::ALL.len()],
}

impl StageTimes {
    /// Begins the first stage, if the request is timed.
    pub fn begin(&mut self, timed: bool) {
        let now = timed.then(Instant::now);
        *self = Self {
            began: now,
            last: now,
            ..Self::default()
        };
    }

    /// When the first stage began; `None` unless the request is timed.
    #[must_use]
    pub fn began(&self) -> Option<Instant> {
        self.began
    }

    /// Ends a stage, and begins the next one.
    pub fn end(&mut self, stage: Stage) {
        if let Some(last) = self.last {
            let now = Instant::now();
            self.spent[stage as usize] += now.saturating_duration_since(last);
            self.last = Some(now);
        }
    }

    /// Takes time from one stage for another that happened within it.
    pub fn shift(&mut self, from: Stage, to: Stage, time: Duration) {
        if self.last.is_some() {
            let moved = time.min(self.spent[from as usize]);
            self.spent[from as usize] -= moved;
            self.spent[to as usize] += moved;
        }
    }

    /// What each stage took; `None` unless the request is timed.
    #[must_use]
    pub fn spent(&self) -> Option<&[Duration; Stage::ALL.len()]> {
        self.last.is_some().then_some(&self.spent)
    }
}

/// What limiters took of a request that is sampled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AdmissionTimes {
    /// Finding the project token in a body that is not decoded yet.
    pub token_extract: Duration,
    /// Charging address and token.
    pub limit_check: Duration,
}

/// Where the request's team came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TeamCache {
    /// It was held in memory.
    Held,
    /// It had to be loaded, or waited for.
    Loaded,
}

/// A text of the log line that is kept in the note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextField {
    /// `distinct_id`.
    DistinctId,
    /// `device_id`.
    DeviceId,
    /// `anon_distinct_id`.
    AnonDistinctId,
    /// `user_agent`.
    UserAgent,
    /// `lib_version` as the query names it.
    LibVersion,
}

/// Number of [`TextField`]s.
const TEXTS: usize = 5;

/// Bytes of all texts together: an id each of 200, a user agent of 512, a version.
const TEXT_BYTES: usize = 1152;

/// Characters of a user agent that are logged (`http.md` 18).
pub const USER_AGENT_CHARS_MAX: usize = 512;

/// Bytes of an id that are logged; ids of evaluation are cut to 200 characters anyway.
pub const ID_BYTES_MAX: usize = 200;

/// Bytes of a version that are logged.
pub const VERSION_BYTES_MAX: usize = 32;

/// Texts one behind the other.
#[derive(Debug, Clone, Copy)]
pub struct Texts {
    bytes: [u8; TEXT_BYTES],
    used: u16,
    spans: [(u16, u16); TEXTS],
    present: u8,
}

impl Default for Texts {
    fn default() -> Self {
        Self {
            bytes: [0; TEXT_BYTES],
            used: 0,
            spans: [(0, 0); TEXTS],
            present: 0,
        }
    }
}

impl Texts {
    /// Keeps a text, at most `bytes_max` of it, less when there is no more room. A second one takes the place of the first.
    pub fn set(&mut self, field: TextField, text: &str, bytes_max: usize) {
        let room = (TEXT_BYTES - usize::from(self.used)).min(bytes_max);
        let text = &text[..text.floor_char_boundary(room)];
        let from = usize::from(self.used);
        let to = from + text.len();
        if let Some(target) = self.bytes.get_mut(from..to) {
            target.copy_from_slice(text.as_bytes());
            // TEXT_BYTES fits.
            self.spans[field as usize] = (from as u16, to as u16);
            self.used = to as u16;
            self.present |= 1 << field as u8;
        }
    }

    /// The text, if one was set.
    #[must_use]
    pub fn get(&self, field: TextField) -> Option<&str> {
        if self.present & (1 << field as u8) == 0 {
            return None;
        }
        let (from, to) = self.spans[field as usize];
        let bytes = self.bytes.get(usize::from(from)..usize::from(to))?;
        std::str::from_utf8(bytes).ok()
    }

    fn clear(&mut self) {
        self.used = 0;
        self.present = 0;
    }
}

/// Everything of a note but its texts.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoteFields {
    /// Whether the log will have a line, so that texts are kept.
    pub logged: bool,
    /// Whether it is one of those whose stages are measured.
    pub sampled: bool,
    /// Whether stages are timed: it is measured, or traced.
    pub timed: bool,
    /// Label of the team.
    pub team: TeamSlot,
    /// The team, once it is known.
    pub team_id: Option<i32>,
    /// Where the team came from.
    pub team_cache: Option<TeamCache>,
    /// Which tier the team was loaded from.
    pub tier: Option<&'static str>,
    /// `disable_flags`.
    pub flags_disabled: bool,
    /// Over the billing limit.
    pub quota_limited: bool,
    /// Over a rate limit, refused or only counted.
    pub rate_limited: bool,
    /// Near a rate limit.
    pub rate_limit_warned: bool,
    /// The request's deadline passed.
    pub timed_out: bool,
    /// What had to be put up with in the body.
    pub kludges: Kludges,
    /// Who sent a body without its `data=`; known only of those.
    pub client_type: Option<&'static str>,
    /// Whether flags were evaluated.
    pub evaluated: bool,
    /// Flags in the answer.
    pub flags_evaluated: u32,
    /// Of these, without a value.
    pub flags_errored: u32,
    /// Of these, for want of another flag.
    pub graph_errors: u32,
    /// Whether a stage ran on several threads.
    pub parallel: bool,
    /// What was asked of the store of persons.
    pub gathering: Gathering,
    /// The team's flags with experience continuity.
    pub continuity_flags: u32,
    /// The team's flags that are bucketed by device.
    pub device_flags: u32,
    /// `v`.
    pub api_version: Option<i32>,
    /// The request's id.
    pub request_id: Option<[u8; 36]>,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// Before the request reached the process, as a proxy says.
    pub queued: Option<Duration>,
    /// From the head to the handler, the body's arrival included. Of requests that are sampled or wait.
    pub before_handler: Option<Duration>,
    /// What limiters took.
    pub admission: Option<AdmissionTimes>,
    /// For a place in the handlers.
    pub place_wait: Duration,
    /// Times of stages.
    pub stages: StageTimes,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct RequestNote {
    fields: NoteFields,
    /// Texts.
    pub texts: Texts,
    /// Its trace, if it has one.
    pub trace: Option<TraceIds>,
    /// Requests that this memory was used for.
    uses: u32,
}

impl Deref for RequestNote {
    type Target = NoteFields;

    fn deref(&self) -> &NoteFields {
        &self.fields
    }
}

impl DerefMut for RequestNote {
    fn deref_mut(&mut self) -> &mut NoteFields {
        &mut self.fields
    }
}

impl RequestNote {
    /// Begins the next request.
    fn reset(&mut self, logged: bool, timed: bool) {
        self.texts.clear();
        self.trace = None;
        self.uses = self.uses.wrapping_add(1);
        let sampled = timed && self.uses.is_multiple_of(SAMPLED_ONE_IN);
        self.fields = NoteFields {
            logged,
            sampled,
            timed: sampled,
            ..NoteFields::default()
        };
    }

    /// The request is traced.
    pub fn traced(&mut self, ids: TraceIds) {
        self.trace = Some(ids);
        self.timed = true;
    }

    /// The team that the request turned out to be of.
    pub fn of_team(&mut self, team_id: i32, slot: TeamSlot) {
        self.team_id = Some(team_id);
        self.team = slot;
    }
}

thread_local! {
    // Boxed: a loan moves a pointer through the future, not the note.
    #[expect(clippy::vec_box, reason = "what is lent is the box")]
    static IDLE: RefCell<Vec<Box<RequestNote>>> = const { RefCell::new(Vec::new()) };
}

/// A note on loan; goes back to whichever thread drops it.
pub struct NoteLoan(Option<Box<RequestNote>>);

impl NoteLoan {
    /// An empty note. `logged`: its texts are wanted; `timed`: somebody wants the stages of some requests.
    #[must_use]
    pub fn take(logged: bool, timed: bool) -> Self {
        let mut note = IDLE.with_borrow_mut(Vec::pop).unwrap_or_default();
        note.reset(logged, timed);
        Self(Some(note))
    }
}

impl Deref for NoteLoan {
    type Target = RequestNote;

    fn deref(&self) -> &RequestNote {
        self.0.as_deref().expect("taken only by drop")
    }
}

impl DerefMut for NoteLoan {
    fn deref_mut(&mut self) -> &mut RequestNote {
        self.0.as_deref_mut().expect("taken only by drop")
    }
}

impl Drop for NoteLoan {
    fn drop(&mut self) {
        let Some(note) = self.0.take() else { return };
        // Not at the end of the thread, when its storage is gone.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < KEPT_PER_THREAD {
                idle.push(note);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_characters_and_fit_together() {
        let mut texts = Texts::default();
        assert_eq!(texts.get(TextField::DistinctId), None);
        texts.set(TextField::DistinctId, "", ID_BYTES_MAX);
        assert_eq!(texts.get(TextField::DistinctId), Some(""));
        texts.set(TextField::DeviceId, &"\u{20ac}".repeat(100), ID_BYTES_MAX);
        assert_eq!(texts.get(TextField::DeviceId).map(str::len), Some(198));
        for _ in 0..10 {
            texts.set(TextField::UserAgent, &"x".repeat(600), 512);
        }
        assert!(
            texts
                .get(TextField::UserAgent)
                .is_some_and(|text| text.len() <= 512)
        );
        texts.clear();
        assert_eq!(texts.get(TextField::DeviceId), None);
    }

    #[test]
    fn one_request_in_sixteen_is_sampled_and_memory_is_reused_clean() {
        let mut sampled = 0;
        for _ in 0..SAMPLED_ONE_IN * 10 {
            let mut note = NoteLoan::take(true, true);
            assert_eq!(
                (note.team_id, note.texts.get(TextField::DistinctId)),
                (None, None)
            );
            sampled += u32::from(note.sampled);
            note.of_team(7, TeamSlot::NOT_AVAILABLE);
            note.texts.set(TextField::DistinctId, "someone", ID_BYTES_MAX);
        }
        assert_eq!(sampled, 10);
    }

    #[test]
    fn time_that_was_waited_is_taken_from_the_stage_around_it() {
        let mut times = StageTimes::default();
        times.begin(false);
        times.end(Stage::Decode);
        assert_eq!(times.spent(), None);
        times.begin(true);
        std::thread::sleep(Duration::from_millis(2));
        times.end(Stage::Evaluate);
        times.shift(Stage::Evaluate, Stage::Gather, Duration::from_millis(1));
        let spent = times.spent().expect("sampled");
        assert_eq!(spent[Stage::Gather as usize], Duration::from_millis(1));
        assert!(spent[Stage::Evaluate as usize] >= Duration::from_millis(1));
    }
}
