//! Variable names, pure parsers, one typed [`Config`].
//!
//! Start at `settings.rs`: each setting is one line that gives its field, variable, default, parser and
//! meaning. What is read, what is documented and what is listed in [`variables`] is that same line.
//! A complete `Config` exists before a port is bound; every unusable variable is reported at once.

mod error;
mod mask;
mod origin;
pub mod otlp;
pub mod parse;
mod rate;
mod reader;
mod retired;
mod secret;
mod secrets;
mod settings;
mod stray;
mod team_set;

pub use error::{ConfigError, InvalidVariable};
pub use mask::masked_url;
pub use origin::{Origin, Setting};
pub use otlp::{OtlpProtocol, Pairs};
pub use rate::{Period, Rate, TeamRates, TokenRates};
pub use reader::{Environment, Source};
pub use secret::Secret;
pub use secrets::secrets;
pub use settings::{
    ConcurrencySettings, ContinuitySettings, CookielessSettings, DatabaseSettings, DefinitionsSettings,
    EvaluationSettings, LogLevel, ObjectStorageSettings, QuotaSettings, RateLimitSettings, RecorderSettings,
    Redaction, RedisSettings, RemoteConfigSettings, ServerSettings, ServiceMode, SnapshotSettings,
    TelemetrySettings,
};
pub use stray::stray_variables;
pub use team_set::TeamSet;

use reader::Reader;

/// A variable that the service reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name in the environment.
    pub name: &'static str,
    /// What is parsed when it is not set.
    pub default: &'static str,
    /// Unit and meaning, one phrase.
    pub meaning: &'static str,
    /// The variable that names a file with the value instead; credentials have one, and only they.
    pub file: Option<&'static str>,
}

impl Variable {
    /// Whether the value is a credential, or a URL that may hold one.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.file.is_some()
    }
}

/// What one look at the variables gave.
#[derive(Debug)]
pub struct Reading {
    /// Every setting, in the order of [`SECTIONS`], the refused ones included.
    pub settings: Vec<Setting>,
    /// The same as values, unless some cannot be used.
    pub config: Result<Config, ConfigError>,
}

impl Reading {
    /// A setting by the name of its variable.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.variable.name == name)
    }
}

macro_rules! sections {
    ($($(#[$doc:meta])* $field:ident: $section:ident, $title:literal;)*) => {
        /// Every setting of the process, read once at start.
        #[derive(Debug, Clone)]
        pub struct Config {
            $($(#[$doc])* pub $field: $section,)*
            set: Vec<&'static str>,
        }

        /// Titled groups of variables, in the order in which they are worth reading.
        pub const SECTIONS: &[(&str, &[Variable])] = &[$(($title, $section::VARIABLES)),*];

        impl Config {
            /// Reads and checks every variable.
            ///
            /// # Errors
            /// Names all variables that cannot be used, not just the first.
            pub fn read(source: &dyn Source) -> Result<Self, ConfigError> {
                Self::read_all(source).config
            }

            /// The same, with where each value came from.
            pub fn read_all(source: &dyn Source) -> Reading {
                let mut reader = Reader::new(source);
                $(let $field = $section::read(&mut reader);)*
                let (settings, invalid) = reader.into_parts();
                let is_set = |setting: &&Setting| setting.origin != Origin::Default;
                let set = settings.iter().filter(is_set).map(|setting| setting.variable.name).collect();
                let config = match ($($field,)*) {
                    ($(Some($field),)*) if invalid.is_empty() => Ok(Self { $($field,)* set }),
                    _ => Err(ConfigError { invalid }),
                };
                Reading { settings, config }
            }
        }
    };
}

sections! {
    /// Listening, connections, start and stop.
    server: ServerSettings, "Server";
    /// How much runs at once, and for how long.
    concurrency: ConcurrencySettings, "Concurrency and deadlines";
    /// The two limiters of the flag routes.
    rate_limit: RateLimitSettings, "Rate limits";
    /// Definitions held in memory.
    snapshot: SnapshotSettings, "Definitions in memory";
    /// Evaluation.
    evaluation: EvaluationSettings, "Evaluation";
    /// Experience continuity.
    continuity: ContinuitySettings, "Experience continuity";
    /// `/flags/definitions`.
    definitions: DefinitionsSettings, "Definitions endpoint";
    /// Billing limits and usage counts.
    quota: QuotaSettings, "Quota and usage";
    /// PostgreSQL.
    database: DatabaseSettings, "PostgreSQL";
    /// Redis.
    redis: RedisSettings, "Redis";
    /// S3.
    object_storage: ObjectStorageSettings, "Object storage";
    /// Cookieless identities.
    cookieless: CookielessSettings, "Cookieless mode";
    /// Configuration fields in answers.
    remote_config: RemoteConfigSettings, "Configuration fields";
    /// Logs, traces, metrics, health.
    telemetry: TelemetrySettings, "Telemetry";
    /// A sample of requests in a file.
    recorder: RecorderSettings, "Recorder";
}

/// Every variable that [`Config::read`] reads.
pub fn variables() -> impl Iterator<Item = &'static Variable> {
    SECTIONS.iter().flat_map(|(_, variables)| variables.iter())
}

impl Config {
    /// Whether the variable was set, to its default or to anything else.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.set.contains(&name)
    }

    /// What an operator should be told at start although the process can run.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (variable, ignored) in [
            (
                "FLAG_DEFINITIONS_RATE_LIMITS",
                &self.definitions.rate_limits.ignored,
            ),
            (
                "LOCAL_EVAL_RATE_LIMITS",
                &self.definitions.local_eval_rate_limits.ignored,
            ),
            (
                "LOCAL_EVAL_CONDITIONAL_RATE_LIMITS",
                &self.definitions.conditional_rate_limits.ignored,
            ),
            (
                "FLAGS_TOKEN_RATE_LIMIT_OVERRIDES",
                &self.rate_limit.token_overrides.ignored,
            ),
        ] {
            warnings.extend(
                ignored
                    .iter()
                    .map(|entry| format!("{variable}: entry {entry} is ignored")),
            );
        }
        warnings
    }
}

#[cfg(test)]
mod tests;
