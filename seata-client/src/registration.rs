//! How a role introduces itself to a server, and what the server says to that.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use seata_protocol::{Message, RegisterRm, RegisterTm, ResourceId, Text};

use crate::{
    Credentials, auth,
    connection::{CallError, Connection},
};

/// The version that is announced. From 2.3.0 on a server answers each request of a merged frame by itself, and
/// from 2.0.0 on it tells when the holder of a lock is rolling back.
const VERSION: Text = Text::from_static("2.6.0");

/// Separates resource ids.
pub(crate) const SEPARATOR: char = ',';

/// Under which names an application registers.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) application: Text,
    pub(crate) group: Text,
    pub(crate) credentials: Option<Credentials>,
}

/// Why a registration failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistrationError {
    /// The server said no; it does not say why.
    #[error(
        "the server (version {version:?}) refused the registration of application {application:?} in group \
         {group:?}{}; look at its log, and at the access key if it checks one",
        because(reason)
    )]
    Refused { version: String, application: String, group: String, reason: String },
    /// There was no answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The answer belongs to another question.
    #[error("the registration was answered by a {0}")]
    WrongAnswer(&'static str),
}

impl Identity {
    pub(crate) fn new(application: &str, group: &str, credentials: Option<Credentials>) -> Self {
        Self { application: application.into(), group: group.into(), credentials }
    }

    /// Introduces a transaction manager. Returns the server's version.
    pub(crate) async fn register_tm(
        &self,
        connection: &Connection,
        limit: Duration,
    ) -> Result<String, RegistrationError> {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let timestamp = u64::try_from(timestamp).unwrap_or(u64::MAX);
        let request = self.transaction_manager(connection.local_address().ip(), timestamp);
        match connection.call(&request, limit).await? {
            Message::RegisterTmResponse(answer) => self.judge(answer),
            other => Err(RegistrationError::WrongAnswer(other.name())),
        }
    }

    /// Introduces a resource manager with these resources. Returns the server's version.
    pub(crate) async fn register_rm(
        &self,
        connection: &Connection,
        resources: &[ResourceId],
        limit: Duration,
    ) -> Result<String, RegistrationError> {
        match connection.call(&self.resource_manager(resources), limit).await? {
            Message::RegisterRmResponse(answer) => self.judge(answer),
            other => Err(RegistrationError::WrongAnswer(other.name())),
        }
    }

    pub(crate) fn transaction_manager(&self, ip: IpAddr, timestamp: u64) -> Message {
        Message::RegisterTm(RegisterTm {
            version: VERSION,
            application_id: self.application.clone(),
            transaction_service_group: self.group.clone(),
            extra_data: auth::extra_data(&self.group, ip, timestamp, self.credentials.as_ref()).into(),
        })
    }

    pub(crate) fn resource_manager(&self, resources: &[ResourceId]) -> Message {
        let ids: Vec<_> = resources.iter().map(ResourceId::as_str).collect();
        Message::RegisterRm(RegisterRm {
            version: VERSION,
            application_id: self.application.clone(),
            transaction_service_group: self.group.clone(),
            extra_data: Text::new(),
            resource_ids: ids.join(&SEPARATOR.to_string()).into(),
        })
    }

    fn judge(&self, answer: seata_protocol::Registered) -> Result<String, RegistrationError> {
        if answer.identified {
            return Ok(answer.version.to_string());
        }
        Err(RegistrationError::Refused {
            version: answer.version.to_string(),
            application: self.application.to_string(),
            group: self.group.to_string(),
            reason: answer.outcome.message.to_string(),
        })
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use seata_protocol::{Header, Kind, frame};

    use super::*;

    /// What a Java client and a Java server said to each other, a frame a line.
    const CONVERSATION: &str = include_str!("../tests/golden/rm_second_resource.jsonl");

    fn recorded(request: &str) -> String {
        let name = format!("\"type\":\"{request}\"");
        let line = CONVERSATION.lines().find(|line| line.contains(&name)).expect("it was recorded");
        line.rsplit_once("\"hex\":\"").unwrap().1.trim_end_matches("\"}").to_owned()
    }

    fn written(message: &Message) -> String {
        let mut bytes = BytesMut::new();
        frame::write(&mut bytes, &Header::new(Kind::Request, 1), message).unwrap();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn both_roles_introduce_themselves_in_java_s_bytes() {
        let identity = Identity::new("golden-app", "default_tx_group", None);
        let tm = identity.transaction_manager("127.0.0.1".parse().unwrap(), 1_795_227_843_933);
        assert_eq!(written(&tm), recorded("RegisterTMRequest"));
        let rm = identity.resource_manager(&["prepareOrder".into()]);
        assert_eq!(written(&rm), recorded("RegisterRMRequest"));
    }

    #[test]
    fn several_resources_are_separated_by_commas() {
        let identity = Identity::new("app", "group", None);
        let rm = identity.resource_manager(&["jdbc:a".into(), "jdbc:b".into()]);
        let Message::RegisterRm(rm) = rm else { unreachable!() };
        assert_eq!(rm.resource_ids, "jdbc:a,jdbc:b");
    }
}
