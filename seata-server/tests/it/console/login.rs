//! Who gets in.

use std::time::Duration;

use serde_json::json;

use crate::{server, stop};

use super::{
    browser::{Browser, PASSWORD, login, request},
    console,
};

#[tokio::test]
async fn a_login_is_answered_as_java_answers_it() {
    let (server, _, browser) = console(|_| {}).await;
    let good = login(browser.address, "seata", PASSWORD).await;
    let body = good.json();
    let token = body["data"].as_str().unwrap();
    assert_eq!(body, json!({ "code": "200", "message": "success", "data": token, "success": true }));
    assert!(token.starts_with("Bearer ") && token.split('.').count() == 3);
    assert!(good.head.contains(&format!("authorization: {}", token.to_ascii_lowercase())));

    for (user, password) in [("seata", "seata"), ("seata", ""), ("other", PASSWORD)] {
        let body = login(browser.address, user, password).await.json();
        assert_eq!((&body["code"], &body["data"]), (&json!("401"), &json!(null)));
        assert_eq!(body["success"], json!(false));
    }
    assert_eq!(request(browser.address, "POST", "/api/v1/auth/login", "", "{").await.status, 400);
    stop(server).await;
}

#[tokio::test]
async fn nothing_but_health_and_metrics_answers_without_a_token() {
    let (server, _, browser) = console(|_| {}).await;
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(request(browser.address, "GET", path, "", "").await.status, 200, "{path}");
    }
    for (method, path) in [
        ("GET", "/v1/overview"),
        ("GET", "/v1/transactions"),
        ("GET", "/v1/transactions/a%3A1%3A2"),
        ("POST", "/v1/transactions/a%3A1%3A2/retry"),
        ("GET", "/v1/locks"),
        ("GET", "/v1/locks/who"),
        ("GET", "/v1/clients"),
        ("GET", "/api/v1/console/globalSession/query"),
        ("GET", "/api/v1/console/globalLock/query"),
        ("GET", "/api/v1/console/globalLock/check"),
        ("PUT", "/api/v1/console/globalSession/stopGlobalSession"),
        ("DELETE", "/api/v1/console/globalSession/forceDeleteGlobalSession"),
    ] {
        for headers in ["", "Authorization: Bearer a.b.c\r\n", "Authorization: Basic c2VhdGE6c2VhdGE=\r\n"] {
            let answer = request(browser.address, method, path, headers, "").await;
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(answer.json()["code"], json!("401"));
        }
    }
    let token = browser.token.strip_prefix("Bearer ").unwrap();
    let path = format!("/v1/overview?access_token={token}");
    assert_eq!(request(browser.address, "GET", &path, "", "").await.status, 200);
    stop(server).await;
}

#[tokio::test]
async fn a_token_expires() {
    let (server, _, browser) = console(|settings| settings.console.token_validity = Duration::ZERO).await;
    assert_eq!(browser.send("GET", "/v1/overview", "").await.status, 401);
    stop(server).await;
}

#[tokio::test]
async fn who_guesses_is_stopped() {
    let (server, _, browser) = console(|_| {}).await;
    for _ in 0..10 {
        assert_eq!(login(browser.address, "seata", "guess").await.json()["code"], json!("401"));
    }
    let refused = login(browser.address, "seata", PASSWORD).await;
    assert_eq!((refused.status, &refused.json()["code"]), (429, &json!("429")));
    assert!(refused.head.contains("retry-after: 60"), "{}", refused.head);
    assert_eq!(browser.send("GET", "/v1/overview", "").await.status, 200, "a token still holds");
    stop(server).await;
}

#[tokio::test]
async fn a_password_is_made_at_the_first_start_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut passwords = Vec::new();
    for _ in 0..2 {
        let (server, _) = server(|settings| {
            settings.console.port = Some(0);
            settings.store.kind = seata_server::settings::StoreKind::Journal;
            settings.store.directory = directory.path().to_owned();
        })
        .await;
        let password = std::fs::read_to_string(directory.path().join("console.password")).unwrap();
        let answer = login(server.console_addresses()[0], "seata", password.trim_end()).await;
        assert_eq!(answer.json()["success"], json!(true));
        passwords.push(password);
        stop(server).await;
    }
    assert_eq!(passwords[0], passwords[1]);
}

#[tokio::test]
async fn without_a_password_nobody_logs_in() {
    let (server, _) = server(|settings| settings.console.port = Some(0)).await;
    let answer = login(server.console_addresses()[0], "seata", "").await;
    assert_eq!(answer.status, 403);
    assert!(answer.json()["message"].as_str().unwrap().contains("no password is set"));
    stop(server).await;
}

#[tokio::test]
async fn a_token_of_another_server_is_refused_unless_they_share_a_secret() {
    const SECRET: &str = "a secret of at least thirty-two bytes";
    let shared = |settings: &mut seata_server::settings::Settings| {
        settings.console.token_secret = Some(SECRET.to_owned());
    };
    let ((first, _, browser), (second, _, _), (third, _, _)) =
        (console(shared).await, console(shared).await, console(|_| {}).await);
    for (server, status) in [(&second, 200), (&third, 401)] {
        let elsewhere = Browser { address: server.console_addresses()[0], token: browser.token.clone() };
        assert_eq!(elsewhere.send("GET", "/v1/overview", "").await.status, status);
    }
    stop(first).await;
    stop(second).await;
    stop(third).await;
}
