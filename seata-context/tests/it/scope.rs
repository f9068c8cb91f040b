use std::{
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use futures_core::Stream;
use seata_context::{InCurrentTransaction as _, NoScope, Presence, RootContext, Snapshot};
use seata_protocol::{BranchType, Xid};

fn xid(id: u32) -> Xid {
    format!("tc:0:{id}").parse().unwrap()
}

#[test]
fn outside_any_scope_binding_is_an_error_that_says_how_to_get_one() {
    assert_eq!(RootContext::bind(xid(1)), Err(NoScope));
    assert!(NoScope.to_string().contains("RootContext::scope"));
    assert_eq!(RootContext::presence(), Presence::NoScope);
    assert_eq!(RootContext::unbind(), None);
    RootContext::suspend().resume();
}

#[tokio::test]
async fn arms_of_a_join_do_not_see_each_others_binding_or_suspension() {
    let outer = async {
        RootContext::bind(xid(1)).unwrap();
        let barrier = tokio::sync::Barrier::new(2);
        let suspended = RootContext::suspended(async {
            barrier.wait().await;
            let seen = RootContext::presence();
            barrier.wait().await;
            seen
        });
        let rebound = async {
            RootContext::bind(xid(2)).unwrap();
            barrier.wait().await;
            let seen = RootContext::presence();
            barrier.wait().await;
            seen
        }
        .in_current_transaction();
        let (left, right) = tokio::join!(suspended, rebound);
        (left, right, RootContext::presence())
    };
    let seen = RootContext::scope(outer).await;
    assert_eq!(seen, (Presence::Suspended, Presence::Bound(xid(2)), Presence::Bound(xid(1))));
}

#[tokio::test]
async fn a_suspension_is_resumed_in_its_own_scope_wherever_it_is_dropped() {
    RootContext::scope(async {
        RootContext::bind(xid(1)).unwrap();
        RootContext::bind_branch_type(BranchType::Tcc).unwrap();
        let suspended = RootContext::suspend();
        assert_eq!(suspended.xid(), Some(&xid(1)));
        assert_eq!((RootContext::presence(), RootContext::branch_type()), (Presence::Suspended, None));
        RootContext::scope(async move {
            drop(suspended);
            assert_eq!(RootContext::presence(), Presence::Idle);
        })
        .await;
        assert_eq!(RootContext::xid(), Some(xid(1)));
        assert_eq!(RootContext::branch_type(), Some(BranchType::Tcc));
    })
    .await;
}

#[tokio::test]
async fn a_branch_type_is_seen_only_in_a_transaction() {
    RootContext::scope(async {
        RootContext::bind_branch_type(BranchType::Tcc).unwrap();
        assert_eq!(RootContext::branch_type(), None);
        RootContext::bind(xid(1)).unwrap();
        assert_eq!(RootContext::branch_type(), Some(BranchType::At), "it belongs to the transaction before");
        RootContext::bind_branch_type(BranchType::Xa).unwrap();
        assert_eq!(RootContext::unbind_branch_type(), Some(BranchType::Xa));
        assert_eq!(RootContext::unbind(), Some(xid(1)));
        assert!(!RootContext::in_global_transaction());
    })
    .await;
}

#[tokio::test]
async fn the_context_is_taken_to_a_task_a_thread_and_a_stream_when_the_call_is_made() {
    RootContext::scope(async {
        RootContext::bind(xid(1)).unwrap();
        let task = seata_context::spawn(async { RootContext::xid() });
        let plain = tokio::spawn(async { RootContext::presence() });
        let thread = seata_context::spawn_blocking(RootContext::xid);
        let stream = Once(Some(())).in_current_transaction();
        RootContext::unbind();
        assert_eq!(task.await.unwrap(), Some(xid(1)));
        assert_eq!(plain.await.unwrap(), Presence::NoScope);
        assert_eq!(thread.await.unwrap(), Some(xid(1)));
        let mut stream = pin!(stream);
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(stream.as_mut().poll_next(&mut cx), Poll::Ready(Some(Some(xid(1)))));
        assert_eq!(RootContext::xid(), None);
    })
    .await;
}

/// A stream of one item: the XID it was polled under.
struct Once(Option<()>);

impl Stream for Once {
    type Item = Option<Xid>;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(|()| RootContext::xid()))
    }
}

#[test]
fn a_future_is_dropped_in_its_own_scope() {
    struct Look(Arc<Mutex<Option<Presence>>>);
    impl Drop for Look {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = Some(RootContext::presence());
        }
    }
    let seen = Arc::new(Mutex::new(None));
    let look = Look(seen.clone());
    drop(Snapshot::empty().with_xid(xid(7)).scope(async move { drop(look) }));
    assert_eq!(*seen.lock().unwrap(), Some(Presence::Bound(xid(7))));
    assert_eq!(RootContext::presence(), Presence::NoScope);
}

#[test]
fn a_panic_leaves_no_scope_behind() {
    let scope = Snapshot::empty().with_xid(xid(7)).into_scope();
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scope.enter(|| panic!("on purpose"))));
    assert!(panicked.is_err());
    assert_eq!(RootContext::presence(), Presence::NoScope);
}

#[test]
fn a_scoped_future_can_be_dropped_while_its_thread_is_torn_down() {
    thread_local!(static LAST: std::cell::RefCell<Option<Box<dyn std::any::Any>>> = const { std::cell::RefCell::new(None) });
    std::thread::spawn(|| {
        LAST.with(|last| {
            *last.borrow_mut() = Some(Box::new(Snapshot::empty().scope(std::future::pending::<()>())))
        });
        Snapshot::empty().into_scope().enter(|| ());
    })
    .join()
    .expect("the drop at the thread's end does not panic");
}
