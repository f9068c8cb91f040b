//! A client of the HTTP port, one connection a request.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::peer::PATIENCE;

pub(crate) const PASSWORD: &str = "not-a-default";

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Somebody who is logged in.
pub(crate) struct Browser {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Browser {
    pub(crate) async fn login(address: SocketAddr) -> Self {
        let answer = login(address, "seata", PASSWORD).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = answer.json()["data"].as_str().expect("a token").to_owned();
        Self { address, token }
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let headers = format!("Authorization: {}\r\n", self.token);
        request(self.address, method, path, &headers, body).await
    }

    /// The answer to a GET that succeeds.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, "").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// Acts on a transaction.
    pub(crate) async fn act(&self, xid: &str, action: &str, reason: &str) -> Answer {
        let body = if reason.is_empty() { String::new() } else { json!({ "reason": reason }).to_string() };
        self.send("POST", &format!("/v1/transactions/{}/{action}", xid.replace(':', "%3A")), &body).await
    }
}

pub(crate) async fn login(address: SocketAddr, user: &str, password: &str) -> Answer {
    let body = json!({ "username": user, "password": password }).to_string();
    request(address, "POST", "/api/v1/auth/login", "", &body).await
}

pub(crate) async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answer {
    request_over(TcpStream::connect(address).await.unwrap(), method, path, headers, body).await
}

pub(crate) async fn request_over(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: console\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    // One that is refused early may not be read to its end.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.flush().await;
    read_answer(stream).await
}

pub(crate) async fn read_answer(mut stream: impl AsyncRead + Unpin) -> Answer {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the connection ends");
    let text = String::from_utf8(bytes).expect("text");
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Answer { status: 0, head: text, body: String::new() };
    };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}
