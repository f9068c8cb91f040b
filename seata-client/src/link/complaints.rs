//! What is worth a warning while a server is away.

use std::time::Duration;

use tokio::time::Instant;

/// How often the same is said again.
const REMINDER: Duration = Duration::from_secs(60);

/// The causes that were warned of since then.
#[derive(Debug)]
pub(super) struct Complaints {
    said: Vec<String>,
    since: Instant,
}

impl Complaints {
    pub(super) fn new(now: Instant) -> Self {
        Self { said: Vec::new(), since: now }
    }

    /// Whether this was not said yet, or so long ago that it is time to say it again.
    pub(super) fn is_news(&mut self, cause: &str, now: Instant) -> bool {
        if now - self.since >= REMINDER {
            *self = Self::new(now);
        }
        let is_news = !self.said.iter().any(|said| said == cause);
        if is_news {
            self.said.push(cause.to_owned());
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_said_once_a_minute() {
        let start = Instant::now();
        let mut complaints = Complaints::new(start);
        for (seconds, cause, is_news) in [
            (0, "lost", true),
            (1, "refused", true),
            (2, "refused", false),
            (59, "lost", false),
            (60, "refused", true),
            (61, "refused", false),
        ] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(complaints.is_news(cause, now), is_news, "{cause} after {seconds} s");
        }
    }
}
