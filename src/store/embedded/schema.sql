-- The tables of the production database that evaluation needs, in SQLite's types: uuid, jsonb and
-- timestamptz are text, boolean is 0 or 1, arrays are JSON text. Text lengths are checked on import;
-- the one column that requests write keeps its check here.

CREATE TABLE posthog_organization (
    id   TEXT PRIMARY KEY,
    name TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE posthog_project (
    id              INTEGER PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES posthog_organization (id),
    name            TEXT NOT NULL
) STRICT;

CREATE TABLE posthog_team (
    id                      INTEGER PRIMARY KEY,
    uuid                    TEXT NOT NULL UNIQUE,
    organization_id         TEXT NOT NULL REFERENCES posthog_organization (id),
    project_id              INTEGER REFERENCES posthog_project (id),
    name                    TEXT NOT NULL DEFAULT 'Default project',
    api_token               TEXT NOT NULL UNIQUE,
    secret_api_token        TEXT UNIQUE,
    secret_api_token_backup TEXT UNIQUE,
    timezone                TEXT NOT NULL DEFAULT 'UTC',
    created_at              TEXT,
    updated_at              TEXT,

    autocapture_opt_out                     INTEGER,
    autocapture_exceptions_opt_in           INTEGER,
    autocapture_exceptions_errors_to_ignore TEXT,
    autocapture_web_vitals_opt_in           INTEGER,
    autocapture_web_vitals_allowed_metrics  TEXT,
    capture_performance_opt_in              INTEGER DEFAULT 1,
    capture_console_log_opt_in              INTEGER DEFAULT 1,
    capture_dead_clicks                     INTEGER DEFAULT 0,
    heatmaps_opt_in                         INTEGER,
    surveys_opt_in                          INTEGER,
    survey_config                           TEXT,
    product_tours_opt_in                    INTEGER,
    inject_web_apps                         INTEGER,
    flags_persistence_default               INTEGER DEFAULT 0,
    logs_settings                           TEXT,
    conversations_enabled                   INTEGER,
    conversations_settings                  TEXT,
    extra_settings                          TEXT,

    session_recording_opt_in                         INTEGER NOT NULL DEFAULT 0,
    session_recording_sample_rate                    TEXT,
    session_recording_minimum_duration_milliseconds  INTEGER,
    session_recording_linked_flag                    TEXT,
    session_recording_network_payload_capture_config TEXT,
    session_recording_masking_config                 TEXT,
    session_recording_url_trigger_config             TEXT,
    session_recording_url_blocklist_config           TEXT,
    session_recording_event_trigger_config           TEXT,
    session_recording_trigger_match_type_config      TEXT,
    session_recording_trigger_groups                 TEXT,
    session_replay_config                            TEXT,
    recording_domains                                TEXT,

    cookieless_server_hash_mode INTEGER DEFAULT 0
) STRICT;
CREATE INDEX posthog_team_project_id_idx ON posthog_team (project_id);

CREATE TABLE posthog_teamfeatureflagsconfig (
    team_id                    INTEGER PRIMARY KEY REFERENCES posthog_team (id),
    minimal_flag_called_events INTEGER NOT NULL DEFAULT 0,
    property_matching_version  INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE TABLE posthog_user (
    id        INTEGER PRIMARY KEY,
    uuid      TEXT NOT NULL UNIQUE,
    email     TEXT NOT NULL UNIQUE,
    is_active INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE TABLE posthog_organizationmembership (
    id              TEXT NOT NULL UNIQUE,
    organization_id TEXT NOT NULL REFERENCES posthog_organization (id),
    user_id         INTEGER NOT NULL REFERENCES posthog_user (id),
    level           INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (user_id, organization_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE posthog_personalapikey (
    id                   TEXT PRIMARY KEY,
    user_id              INTEGER NOT NULL REFERENCES posthog_user (id),
    label                TEXT NOT NULL,
    secure_value         TEXT NOT NULL UNIQUE,
    last_used_at         TEXT,
    scopes               TEXT,
    scoped_teams         TEXT,
    scoped_organizations TEXT
) STRICT, WITHOUT ROWID;

-- Which documents brought a key, so that importing one of them replaces only its own.
CREATE TABLE embedded_project_key (
    team_id INTEGER NOT NULL REFERENCES posthog_team (id),
    key_id  TEXT NOT NULL REFERENCES posthog_personalapikey (id),
    PRIMARY KEY (team_id, key_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE posthog_featureflag (
    id                           INTEGER PRIMARY KEY,
    team_id                      INTEGER NOT NULL REFERENCES posthog_team (id),
    key                          TEXT NOT NULL,
    name                         TEXT NOT NULL DEFAULT '',
    filters                      TEXT NOT NULL,
    active                       INTEGER NOT NULL DEFAULT 1,
    deleted                      INTEGER NOT NULL DEFAULT 0,
    archived                     INTEGER NOT NULL DEFAULT 0,
    version                      INTEGER DEFAULT 1,
    ensure_experience_continuity INTEGER DEFAULT 0,
    is_remote_configuration      INTEGER DEFAULT 0,
    has_encrypted_payloads       INTEGER DEFAULT 0,
    has_enriched_analytics       INTEGER DEFAULT 0,
    evaluation_runtime           TEXT DEFAULT 'all',
    bucketing_identifier         TEXT DEFAULT 'distinct_id',
    -- Production derives it from posthog_experiment; a document states it, or leaves it open (null).
    has_experiment               INTEGER,
    UNIQUE (team_id, key),
    CHECK (NOT (archived AND active))
) STRICT;

CREATE TABLE posthog_evaluationcontext (
    id      TEXT PRIMARY KEY,
    team_id INTEGER NOT NULL REFERENCES posthog_team (id),
    name    TEXT NOT NULL,
    UNIQUE (team_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE posthog_featureflagevaluationcontext (
    feature_flag_id       INTEGER NOT NULL REFERENCES posthog_featureflag (id) ON DELETE CASCADE,
    evaluation_context_id TEXT NOT NULL REFERENCES posthog_evaluationcontext (id),
    PRIMARY KEY (feature_flag_id, evaluation_context_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE posthog_cohort (
    id          INTEGER PRIMARY KEY,
    team_id     INTEGER NOT NULL REFERENCES posthog_team (id),
    name        TEXT,
    description TEXT NOT NULL DEFAULT '',
    deleted     INTEGER NOT NULL DEFAULT 0,
    filters     TEXT,
    query       TEXT,
    version     INTEGER,
    is_static   INTEGER NOT NULL DEFAULT 0,
    kind        TEXT,
    cohort_type TEXT,
    groups      TEXT
) STRICT;
CREATE INDEX posthog_cohort_team_id_idx ON posthog_cohort (team_id);

CREATE TABLE posthog_remoteconfig (
    team_id INTEGER PRIMARY KEY REFERENCES posthog_team (id),
    config  TEXT NOT NULL
) STRICT;

CREATE TABLE posthog_person (
    id            INTEGER PRIMARY KEY,
    team_id       INTEGER NOT NULL,
    uuid          TEXT NOT NULL,
    created_at    TEXT NOT NULL,
    properties    TEXT NOT NULL DEFAULT '{}',
    is_identified INTEGER NOT NULL DEFAULT 0,
    is_deleted    INTEGER NOT NULL DEFAULT 0,
    UNIQUE (team_id, id),
    UNIQUE (team_id, uuid)
) STRICT;

CREATE TABLE posthog_persondistinctid (
    team_id     INTEGER NOT NULL,
    distinct_id TEXT NOT NULL,
    person_id   INTEGER NOT NULL,
    is_deleted  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (team_id, distinct_id),
    FOREIGN KEY (team_id, person_id) REFERENCES posthog_person (team_id, id) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;
CREATE INDEX posthog_persondistinctid_person_id_idx ON posthog_persondistinctid (team_id, person_id);

CREATE TABLE posthog_featureflaghashkeyoverride (
    team_id          INTEGER NOT NULL,
    person_id        INTEGER NOT NULL,
    feature_flag_key TEXT NOT NULL,
    hash_key         TEXT NOT NULL CHECK (length(hash_key) <= 400),
    PRIMARY KEY (team_id, person_id, feature_flag_key),
    FOREIGN KEY (team_id, person_id) REFERENCES posthog_person (team_id, id) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;

CREATE TABLE posthog_cohortpeople (
    cohort_id INTEGER NOT NULL,
    person_id INTEGER NOT NULL,
    PRIMARY KEY (person_id, cohort_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX posthog_cohortpeople_cohort_id_idx ON posthog_cohortpeople (cohort_id);

CREATE TABLE posthog_group (
    team_id          INTEGER NOT NULL,
    group_type_index INTEGER NOT NULL,
    group_key        TEXT NOT NULL,
    group_properties TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (team_id, group_key, group_type_index)
) STRICT, WITHOUT ROWID;

CREATE TABLE posthog_grouptypemapping (
    team_id          INTEGER NOT NULL,
    project_id       INTEGER NOT NULL,
    group_type       TEXT NOT NULL,
    group_type_index INTEGER NOT NULL CHECK (group_type_index <= 5),
    PRIMARY KEY (project_id, group_type_index),
    UNIQUE (project_id, group_type)
) STRICT, WITHOUT ROWID;

-- Resources over quota; production keeps them in Redis.
CREATE TABLE embedded_quota_limited (
    team_id  INTEGER NOT NULL REFERENCES posthog_team (id),
    resource TEXT NOT NULL,
    PRIMARY KEY (team_id, resource)
) STRICT, WITHOUT ROWID;

-- One row a token whose definitions have changed; revisions rise over the whole store, so that a
-- watcher asks for everything above the last one that it has seen.
CREATE TABLE embedded_revision (
    api_token TEXT PRIMARY KEY,
    revision  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX embedded_revision_idx ON embedded_revision (revision);
