//! A schema for each service on a database server; MySQL calls it a database. Their names are as new as the run
//! that makes them, so nobody else's can be meant.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    io,
    path::Path,
    time::Duration,
};

use sqlx::{
    AnyConnection, AssertSqlSafe, ConnectOptions as _, Connection as _,
    any::{AnyConnectOptions, install_default_drivers},
};

use crate::books::SERVICES;

/// The file that notes the names.
const NOTE: &str = "schemas";

/// What the names of all schemas of all shops begin with.
const PREFIX: &str = "shop_";

/// How long the server may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// What speaks to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseServer {
    /// MySQL or MariaDB.
    MySql,
    /// PostgreSQL, in the database that the URL names.
    Postgres,
}

/// The schemas of one run, and of those that go on with its directory.
#[derive(Clone)]
pub struct Schemas {
    server: DatabaseServer,
    options: AnyConnectOptions,
    /// What all names begin with.
    run: String,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum SchemasError {
    /// No server is named.
    #[error("which server? Set DATABASE_URL, such as DATABASE_URL={0}")]
    NoUrl(&'static str),
    /// Something else is named.
    #[error("DATABASE_URL names no such server: {found}; it looks like {example}")]
    WrongUrl {
        /// One that would do.
        example: &'static str,
        /// What is wrong with this one.
        found: String,
    },
    /// It cannot be connected to.
    #[error(
        "the server that DATABASE_URL names cannot be used; does it run, and are user, password and database right? {0}"
    )]
    Unusable(sqlx::Error),
    /// The user may not, or the server cannot.
    #[error(
        "the user that DATABASE_URL names cannot make a schema there; an administrator can allow it: {grant}; {error}"
    )]
    NotMade {
        /// What the administrator says.
        grant: String,
        /// What the server said.
        error: sqlx::Error,
    },
    /// An earlier run on this directory made them elsewhere.
    #[error(
        "the schemas {run}_… of this directory's earlier run are not on the server that DATABASE_URL names; name theirs, or remove {directory}"
    )]
    Elsewhere {
        /// What their names begin with.
        run: String,
        /// The directory.
        directory: String,
    },
    /// The names could not be read or noted.
    #[error("the note of the schemas' names: {0}")]
    Note(#[from] io::Error),
    /// They were made, and could not be removed.
    #[error("the schemas {run}_… are left on the server; {error}")]
    Left {
        /// What their names begin with.
        run: String,
        /// What the server said.
        error: sqlx::Error,
    },
}

impl Schemas {
    /// Finds the schemas that an earlier run on this directory has left; else makes new ones.
    ///
    /// # Errors
    /// [`SchemasError`] says what to do. Nothing is changed then.
    pub(crate) async fn open(
        server: DatabaseServer,
        url: Option<&str>,
        directory: &Path,
    ) -> Result<Self, SchemasError> {
        let options = server.options(url)?;
        let mut connection = connect(&options).await.map_err(|error| match error {
            sqlx::Error::Configuration(found) => server.not_at(found.to_string()),
            error => SchemasError::Unusable(error),
        })?;
        let note = directory.join(NOTE);
        if note.exists() {
            let schemas = Self { server, options, run: fs_err::read_to_string(&note)? };
            return schemas.found(&mut connection, directory).await;
        }
        let run = format!("{PREFIX}{:08x}", RandomState::new().hash_one(NOTE) as u32);
        let schemas = Self { server, options, run };
        schemas.make(&mut connection).await?;
        let noted = fs_err::create_dir_all(directory).and_then(|()| fs_err::write(&note, &schemas.run));
        if let Err(error) = noted {
            schemas.remove().await?;
            return Err(error.into());
        }
        Ok(schemas)
    }

    /// What speaks to them.
    pub(crate) fn server(&self) -> DatabaseServer {
        self.server
    }

    /// How to connect to the schema of this service.
    pub(crate) fn options(&self, service: &str) -> AnyConnectOptions {
        let (mut options, schema) = (self.options.clone(), self.name(service));
        let url = &mut options.database_url;
        match self.server {
            DatabaseServer::MySql => url.set_path(&schema),
            DatabaseServer::Postgres => {
                url.query_pairs_mut().append_pair("options[search_path]", &schema);
            }
        }
        options
    }

    /// Removes them, with all that is in them.
    pub(crate) async fn remove(&self) -> Result<(), SchemasError> {
        let left = |error| SchemasError::Left { run: self.run.clone(), error };
        let removed = async {
            let mut connection = connect(&self.options).await?;
            let cascade = if self.server == DatabaseServer::Postgres { " CASCADE" } else { "" };
            for service in SERVICES {
                let drop = format!("DROP SCHEMA IF EXISTS {}{cascade}", self.name(service));
                sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await?;
            }
            connection.close().await
        };
        within_limit(removed).await.map_err(left)
    }

    async fn make(&self, connection: &mut AnyConnection) -> Result<(), SchemasError> {
        for service in SERVICES {
            let create = format!("CREATE SCHEMA {}", self.name(service));
            if let Err(error) = sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *connection).await {
                if service != SERVICES[0] {
                    self.remove().await?;
                }
                return Err(SchemasError::NotMade { grant: self.grant(), error });
            }
        }
        Ok(())
    }

    async fn found(self, connection: &mut AnyConnection, directory: &Path) -> Result<Self, SchemasError> {
        let elsewhere =
            || SchemasError::Elsewhere { run: self.run.clone(), directory: directory.display().to_string() };
        let is_own = |run: &str| {
            run.strip_prefix(PREFIX).is_some_and(|number| u32::from_str_radix(number, 16).is_ok())
        };
        if !is_own(&self.run) {
            return Err(elsewhere());
        }
        let names = SERVICES.map(|service| format!("'{}'", self.name(service))).join(", ");
        let count =
            format!("SELECT count(*) FROM information_schema.schemata WHERE schema_name IN ({names})");
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(count)).fetch_one(connection).await;
        if count.map_err(SchemasError::Unusable)? == SERVICES.len() as i64 {
            Ok(self)
        } else {
            Err(elsewhere())
        }
    }

    fn name(&self, service: &str) -> String {
        format!("{}_{service}", self.run)
    }

    fn grant(&self) -> String {
        let user = self.options.database_url.username();
        let database = self.options.database_url.path().trim_start_matches('/');
        let database = if database.is_empty() { user } else { database };
        match self.server {
            DatabaseServer::MySql => format!("GRANT ALL ON `shop\\_%`.* TO '{user}'"),
            DatabaseServer::Postgres => format!("GRANT CREATE ON DATABASE \"{database}\" TO \"{user}\""),
        }
    }
}

/// Without the password that is in the URL.
impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemas")
            .field("server", &self.server)
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

impl DatabaseServer {
    fn options(self, url: Option<&str>) -> Result<AnyConnectOptions, SchemasError> {
        let url = url.filter(|url| !url.is_empty()).ok_or(SchemasError::NoUrl(self.example()))?;
        let options = url.parse::<AnyConnectOptions>().map_err(|error| self.not_at(error.to_string()))?;
        match (self, options.database_url.scheme()) {
            (Self::MySql, "mysql" | "mariadb") | (Self::Postgres, "postgres" | "postgresql") => Ok(options),
            (_, scheme) => Err(self.not_at(format!("it begins with {scheme}:"))),
        }
    }

    fn not_at(self, found: String) -> SchemasError {
        SchemasError::WrongUrl { example: self.example(), found }
    }

    fn example(self) -> &'static str {
        match self {
            Self::MySql => "mysql://root:password@localhost:3306",
            Self::Postgres => "postgres://postgres:password@localhost:5432/postgres",
        }
    }
}

async fn connect(options: &AnyConnectOptions) -> Result<AnyConnection, sqlx::Error> {
    install_default_drivers();
    within_limit(options.connect()).await
}

async fn within_limit<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(LIMIT, work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {LIMIT:?}")).into()),
    }
}
