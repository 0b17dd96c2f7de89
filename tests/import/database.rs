//! A PostgreSQL database of a test, with the schema of production.

use std::sync::OnceLock;

use feature_flags::store::import::ImportReport;
use feature_flags::store::postgres::import::{ImportError, ImportTarget, import};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::servers::Servers;
use crate::support::Refusal;

/// One server for all tests; it ends with the process, at the end of its input.
pub fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| Servers::start(&["postgres"]))
}

/// One database, or two when persons have their own.
pub struct Database {
    runtime: Runtime,
    pub target: ImportTarget,
}

impl Database {
    pub fn new() -> Self {
        Self::at(ImportTarget {
            main_url: servers().database(),
            persons_url: None,
        })
    }

    pub fn at(target: ImportTarget) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        Self { runtime, target }
    }

    pub fn import(&self, bytes: &[u8]) -> Result<ImportReport, ImportError> {
        self.runtime.block_on(import(self.target.clone(), bytes))
    }

    pub fn try_import(&self, bytes: &[u8]) -> Result<ImportReport, Refusal> {
        self.import(bytes).map_err(|error| match error {
            ImportError::Problems { problems, .. } => Refusal::Problems(problems),
            ImportError::Store(error) => Refusal::Store(error.to_string()),
        })
    }

    /// Rows of a query to the main database.
    pub fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        self.rows_of(&self.target.main_url, sql)
    }

    pub fn rows_of(&self, url: &str, sql: &str) -> Vec<Vec<String>> {
        self.runtime.block_on(async {
            let client = connect(url).await;
            let messages = client.simple_query(sql).await.expect("a sound statement");
            let mut rows = Vec::new();
            for message in messages {
                if let SimpleQueryMessage::Row(row) = message {
                    let cells = (0..row.len()).map(|cell| row.get(cell).unwrap_or("null").to_owned());
                    rows.push(cells.collect());
                }
            }
            rows
        })
    }

    /// Every row of every table of both databases.
    pub fn dump(&self) -> Vec<(String, Vec<String>)> {
        let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
        let mut dump = Vec::new();
        for url in [Some(&self.target.main_url), self.target.persons_url.as_ref()]
            .into_iter()
            .flatten()
        {
            for table in self.rows_of(url, tables) {
                let sql = format!("SELECT t::text FROM {} t ORDER BY 1", table[0]);
                let rows = self.rows_of(url, &sql).into_iter().flatten().collect();
                dump.push((table[0].clone(), rows));
            }
        }
        dump
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("the server answers");
    tokio::spawn(connection);
    client
}
