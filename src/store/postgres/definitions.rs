//! Definitions behind the caches (`storage.md` 5.3 T1, F1, C1, G1, G2, L1, L2).
//!
//! Rows come as JSON text of the whole row (`to_jsonb`): a column that this version of the database does not have is
//! absent there instead of an error, and numbers stay as they are written.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connection::Query;
use super::error::PostgresError;
use super::pool::Pool;
use super::rows;
use super::tables::{Contexts, Tables, column, tables};
use crate::hypercache::{
    BoxFuture, CohortRow, DatabaseError, DefinitionDatabase, ProjectRows, TeamRow, TeamSelection,
};

macro_rules! team {
    ($column:literal) => {
        concat!(
            "SELECT to_jsonb(t)::text, o.name, p.name
             FROM posthog_team t
             LEFT JOIN posthog_organization o ON o.id = t.organization_id
             LEFT JOIN posthog_project p ON p.id = t.project_id
             WHERE t.",
            $column,
            " = $1"
        )
    };
}

/// T1.
const TEAM_BY_TOKEN: &str = team!("api_token");
const TEAM_BY_ID: &str = team!("id");

/// L2.
const CONFIG_BY_TOKEN: &str = "SELECT to_jsonb(c)::text FROM posthog_teamfeatureflagsconfig c
    JOIN posthog_team t ON t.id = c.team_id WHERE t.api_token = $1";
const CONFIG_BY_ID: &str =
    "SELECT to_jsonb(c)::text FROM posthog_teamfeatureflagsconfig c WHERE c.team_id = $1";

const ALL_TEAMS: &str = "SELECT id FROM posthog_team ORDER BY id";
const TEAMS_WITH_FLAGS: &str = "SELECT DISTINCT team_id FROM posthog_featureflag ORDER BY team_id";

/// F1; contexts and experiments apart.
const FLAGS: &str = "SELECT to_jsonb(f)::text FROM posthog_featureflag f
    WHERE f.team_id = $1 AND NOT f.deleted
      AND (f.has_encrypted_payloads IS NOT TRUE OR f.is_remote_configuration IS NOT TRUE)
    ORDER BY f.id";
const CONTEXTS: &str = "SELECT fc.feature_flag_id, c.name
    FROM posthog_featureflag f
    JOIN posthog_featureflagevaluationcontext fc ON fc.feature_flag_id = f.id
    JOIN posthog_evaluationcontext c ON c.id = fc.evaluation_context_id
    WHERE f.team_id = $1";
const TAGS: &str = "SELECT ft.feature_flag_id, t.name
    FROM posthog_featureflag f
    JOIN posthog_featureflagevaluationtag ft ON ft.feature_flag_id = f.id
    JOIN posthog_tag t ON t.id = ft.tag_id
    WHERE f.team_id = $1";
const EXPERIMENTS: &str = "SELECT DISTINCT e.feature_flag_id
    FROM posthog_featureflag f JOIN posthog_experiment e ON e.feature_flag_id = f.id
    WHERE f.team_id = $1 AND e.deleted = false";

/// C1.
const COHORTS: &str =
    "SELECT to_jsonb(c)::text FROM posthog_cohort c WHERE c.team_id = $1 AND NOT c.deleted ORDER BY c.id";
/// The same for every team of the team's project; a team without a project is its own.
const PROJECT_COHORTS: &str = "SELECT to_jsonb(c)::text
    FROM posthog_team own
    JOIN posthog_team t ON t.id = own.id OR t.project_id = coalesce(own.project_id, own.id)
    JOIN posthog_cohort c ON c.team_id = t.id
    WHERE own.id = $1 AND NOT c.deleted
    ORDER BY c.id";

/// L1. Not every version has all of the columns.
const SURVEY_FLAGS: &str = "SELECT DISTINCT v.value::int4
    FROM posthog_survey s CROSS JOIN LATERAL jsonb_each_text(to_jsonb(s)) AS v (key, value)
    WHERE s.team_id = $1 AND v.value IS NOT NULL
      AND v.key IN ('targeting_flag_id', 'internal_targeting_flag_id', 'internal_response_sampling_flag_id')
    ORDER BY 1";
const REMOTE_CONFIG: &str = "SELECT config::text FROM posthog_remoteconfig WHERE team_id = $1";
/// Of `errorTracking` in configuration that is built (`storage.md` 10).
const SUPPRESSION_RULES: &str = "SELECT filters::text FROM posthog_errortrackingsuppressionrule
    WHERE team_id = $1 ORDER BY order_key, id";

/// G1, G2.
const GROUP_TYPES: &str = "SELECT group_type_index, group_type FROM posthog_grouptypemapping
    WHERE team_id = $1 ORDER BY group_type_index";
const PROJECT_GROUP_TYPES: &str = "SELECT group_type_index, group_type FROM posthog_grouptypemapping
    WHERE project_id = $1 ORDER BY group_type_index";

/// One snapshot for all that is read of a team.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Definitions in PostgreSQL.
#[derive(Debug)]
pub struct PostgresDefinitions {
    main: Arc<Pool>,
    persons: Arc<Pool>,
    tables: OnceCell<Tables>,
}

impl PostgresDefinitions {
    /// `main`: the reader of teams, flags and cohorts. `persons`: the reader of group types.
    #[must_use]
    pub fn new(main: Arc<Pool>, persons: Arc<Pool>) -> Self {
        Self {
            main,
            persons,
            tables: OnceCell::new(),
        }
    }

    async fn read_team(&self, token: &str) -> Result<Option<TeamRow>, PostgresError> {
        if token.contains('\0') {
            return Ok(None);
        }
        let mut lease = self.main.acquire().await?;
        let config = tables(&self.tables, &mut lease).await?.team_config;
        let parameters: &[&(dyn ToSql + Sync)] = &[&token];
        let mut queries = vec![query(TEAM_BY_TOKEN, parameters)];
        queries.extend(config.then(|| query(CONFIG_BY_TOKEN, parameters)));
        let mut answers = lease.exchange(None, &queries, None).await?.into_iter();
        drop(lease);
        let team = answers.next().unwrap_or_default();
        rows::team(&team, &answers.next().unwrap_or_default())
    }

    async fn read_project(&self, team_id: i32) -> Result<Option<ProjectRows>, PostgresError> {
        let mut lease = self.main.acquire().await?;
        let tables = tables(&self.tables, &mut lease).await?;
        let wanted = [
            Some(TEAM_BY_ID),
            tables.team_config.then_some(CONFIG_BY_ID),
            Some(FLAGS),
            match tables.contexts {
                Contexts::Current => Some(CONTEXTS),
                Contexts::Tags => Some(TAGS),
                Contexts::None => None,
            },
            tables.experiments.then_some(EXPERIMENTS),
            Some(PROJECT_COHORTS),
            tables.surveys.then_some(SURVEY_FLAGS),
            tables.remote_config.then_some(REMOTE_CONFIG),
            tables.suppression_rules.then_some(SUPPRESSION_RULES),
        ];
        let parameters: &[&(dyn ToSql + Sync)] = &[&team_id];
        let queries: Vec<Query<'_>> = wanted
            .iter()
            .flatten()
            .map(|sql| query(sql, parameters))
            .collect();
        let mut answers = lease
            .exchange(Some(BEGIN), &queries, Some("COMMIT"))
            .await?
            .into_iter();
        drop(lease);
        // What was not asked has no rows.
        let [
            team,
            config,
            flags,
            contexts,
            experiments,
            cohorts,
            surveys,
            remote_config,
            suppression_rules,
        ] = wanted.map(|sql| sql.and_then(|_| answers.next()).unwrap_or_default());
        let Some(team) = rows::team(&team, &config)? else {
            return Ok(None);
        };
        let mut contexts_by_flag: HashMap<i32, Vec<String>> = HashMap::new();
        for row in &contexts {
            contexts_by_flag
                .entry(column(row, 0)?)
                .or_default()
                .push(column(row, 1)?);
        }
        let experiments = ids(&experiments)?.into_iter().collect::<HashSet<i32>>();
        Ok(Some(ProjectRows {
            team,
            flags: rows::flags(&flags, contexts_by_flag, &experiments)?,
            cohorts: rows::cohorts(&cohorts)?,
            survey_flag_ids: ids(&surveys)?,
            remote_config: remote_config.first().map(|row| column(row, 0)).transpose()?,
            suppression_rules: suppression_rules
                .iter()
                .map(|row| column(row, 0))
                .collect::<Result<_, _>>()?,
        }))
    }

    async fn read(
        pool: &Pool,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        pool.acquire().await?.query(query(sql, parameters)).await
    }
}

fn query<'q>(sql: &'static str, parameters: &'q [&'q (dyn ToSql + Sync)]) -> Query<'q> {
    Query { sql, parameters }
}

fn ids(rows: &[Row]) -> Result<Vec<i32>, PostgresError> {
    rows.iter().map(|row| column(row, 0)).collect()
}

fn pairs(rows: &[Row]) -> Result<Vec<(i32, String)>, PostgresError> {
    rows.iter()
        .map(|row| Ok((column(row, 0)?, column(row, 1)?)))
        .collect()
}

impl DefinitionDatabase for PostgresDefinitions {
    fn team_by_token<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<TeamRow>, DatabaseError>> {
        Box::pin(async move { self.read_team(token).await.map_err(DatabaseError::from) })
    }

    fn team_ids(&self, which: TeamSelection) -> BoxFuture<'_, Result<Vec<i32>, DatabaseError>> {
        let sql = match which {
            TeamSelection::All => ALL_TEAMS,
            TeamSelection::WithFlags => TEAMS_WITH_FLAGS,
        };
        Box::pin(async move { Ok(ids(&Self::read(&self.main, sql, &[]).await?)?) })
    }

    fn project_rows(&self, team_id: i32) -> BoxFuture<'_, Result<Option<ProjectRows>, DatabaseError>> {
        Box::pin(async move { self.read_project(team_id).await.map_err(DatabaseError::from) })
    }

    fn cohorts(&self, team_id: i32) -> BoxFuture<'_, Result<Vec<CohortRow>, DatabaseError>> {
        Box::pin(async move {
            Ok(rows::cohorts(
                &Self::read(&self.main, COHORTS, &[&team_id]).await?,
            )?)
        })
    }

    fn group_types(&self, team_id: i32) -> BoxFuture<'_, Result<Vec<(i32, String)>, DatabaseError>> {
        Box::pin(async move {
            Ok(pairs(
                &Self::read(&self.persons, GROUP_TYPES, &[&team_id]).await?,
            )?)
        })
    }

    fn project_group_types(
        &self,
        project_id: i64,
    ) -> BoxFuture<'_, Result<Vec<(i32, String)>, DatabaseError>> {
        Box::pin(async move {
            let rows = Self::read(&self.persons, PROJECT_GROUP_TYPES, &[&project_id]).await?;
            Ok(pairs(&rows)?)
        })
    }
}
