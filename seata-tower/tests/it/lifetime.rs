//! How long a joined transaction lasts, and who sees it.

use std::{
    convert::Infallible,
    io,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use seata_context::{Presence, RootContext};
use seata_tower::{JoinTransactionLayer, ScopedBody};
use tower::{Layer as _, ServiceExt as _};
use tracing_subscriber::fmt::MakeWriter;

use crate::{coordinator::client, seen, xid};

fn joining(id: u64) -> Request<()> {
    Request::builder().header("tx_xid", xid(id).as_str()).body(()).unwrap()
}

/// Notes what the context says whenever it is asked for data, and when it is dropped.
struct Watched {
    frames: u64,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    fn note(&self, when: &str) {
        self.seen.lock().unwrap().push(format!("{when} {}", seen()));
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.note("poll");
        if self.frames == 0 {
            return Poll::Ready(None);
        }
        self.frames -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.frames)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.note("drop");
    }
}

#[tokio::test]
async fn a_streamed_body_runs_in_the_transaction_until_it_is_dropped() {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let handler = tower::service_fn(|_: Request<()>| {
        future::ok::<_, Infallible>(Response::new(Watched { frames: 2, seen: notes.clone() }))
    });
    let response = JoinTransactionLayer::new(client()).layer(handler).oneshot(joining(7)).await.unwrap();
    assert_eq!(RootContext::presence(), Presence::NoScope);

    let mut body = response.into_body();
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(2), false));
    // Another task than the handler's may send the body.
    let body = tokio::spawn(async move {
        assert!(body.frame().await.unwrap().unwrap().is_data());
        assert_eq!(RootContext::presence(), Presence::NoScope);
        body
    })
    .await
    .unwrap();
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(1), false));
    drop(body);
    assert_eq!(*notes.lock().unwrap(), ["poll tc:0:7", "drop tc:0:7"]);
}

#[tokio::test]
async fn other_layers_can_answer_with_an_empty_body() {
    let body = ScopedBody::<String>::default();
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn requests_can_be_served_on_any_thread() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let handler = tower::service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(seen())) });
    let service = is_send(JoinTransactionLayer::new(client()).layer(handler));
    let response = is_send(service.oneshot(joining(7))).await.unwrap();
    assert_eq!(is_send(response.into_body()).collect().await.unwrap().to_bytes(), "tc:0:7");
}

#[tokio::test]
async fn a_request_that_is_dropped_half_way_is_dropped_in_its_transaction() {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let handler = tower::service_fn(|_: Request<()>| {
        let held = Watched { frames: 0, seen: notes.clone() };
        async move {
            future::pending::<()>().await;
            Ok::<_, Infallible>(Response::new(held))
        }
    });
    let mut response = Box::pin(JoinTransactionLayer::new(client()).layer(handler).oneshot(joining(7)));
    assert!(response.as_mut().now_or_never().is_none());
    assert_eq!(RootContext::presence(), Presence::NoScope);
    drop(response);
    assert_eq!(*notes.lock().unwrap(), ["drop tc:0:7"]);
    assert_eq!(RootContext::presence(), Presence::NoScope);
}

#[tokio::test]
async fn a_panic_leaves_nothing_bound() {
    let in_call =
        tower::service_fn(|_: Request<()>| -> future::Ready<Result<Response<String>, Infallible>> {
            panic!("in call, {}", seen())
        });
    let in_poll = tower::service_fn(|_: Request<()>| async {
        tokio::task::yield_now().await;
        if RootContext::in_global_transaction() {
            panic!("in poll, {}", seen());
        }
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let layer = JoinTransactionLayer::new(client());
    for (run, expected) in [
        (layer.layer(in_call).oneshot(joining(7)).map(drop).boxed_local(), "in call, tc:0:7"),
        (layer.layer(in_poll).oneshot(joining(7)).map(drop).boxed_local(), "in poll, tc:0:7"),
    ] {
        let panic = AssertUnwindSafe(run).catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), expected);
        assert_eq!(RootContext::presence(), Presence::NoScope);
    }
}

#[tokio::test]
async fn requests_side_by_side_see_their_own_transaction_each() {
    let handler = tower::service_fn(|_: Request<()>| async {
        let before = seen();
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(Response::new(format!("{before} {}", seen())))
    });
    let layer = JoinTransactionLayer::new(client());
    let text = |request| async {
        let response = layer.layer(handler).oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    };
    let (one, two, none) = tokio::join!(text(joining(1)), text(joining(2)), text(Request::new(())));
    assert_eq!(
        (&one[..], &two[..], &none[..]),
        (&b"tc:0:1 tc:0:1"[..], &b"tc:0:2 tc:0:2"[..], &b"Idle Idle"[..])
    );
}

#[tokio::test]
async fn the_callers_own_scope_is_not_the_handlers() {
    let handler = tower::service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(seen())) });
    RootContext::scope(async {
        RootContext::bind(xid(1)).unwrap();
        let layer = JoinTransactionLayer::new(client());
        let response = layer.layer(handler).oneshot(Request::new(())).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "Idle");
        assert_eq!(RootContext::xid(), Some(xid(1)));
    })
    .await;
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

#[tokio::test]
async fn the_log_names_the_transaction_and_one_that_a_handler_left_bound() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    let _subscribed = tracing::subscriber::set_default(subscriber);

    let layer = JoinTransactionLayer::new(client());
    let tidy = tower::service_fn(|_: Request<()>| async {
        tracing::info!("deducting");
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    layer.layer(tidy).oneshot(joining(7)).await.unwrap();
    let lines = log.lines();
    assert!(lines.contains("joined_transaction{xid=tc:0:7 X-TX-XID=tc:0:7}"), "{lines}");
    assert!(lines.contains("deducting") && !lines.contains("WARN"), "{lines}");

    let careless = tower::service_fn(|_: Request<()>| async {
        RootContext::bind(xid(8)).unwrap();
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    layer.layer(careless).oneshot(joining(7)).await.unwrap();
    let lines = log.lines();
    let warning = lines.lines().find(|line| line.contains("WARN")).expect("a warning");
    assert!(warning.contains("left=tc:0:8 joined=tc:0:7"), "{warning}");
    assert_eq!(RootContext::presence(), Presence::NoScope);

    let misled = Request::builder().header("tx_xid", "tc:0").body(()).unwrap();
    layer.layer(tidy).oneshot(misled).await.unwrap();
    let lines = log.lines();
    assert!(lines.contains("request refused") && lines.contains("expected host:port:id"), "{lines}");
}
