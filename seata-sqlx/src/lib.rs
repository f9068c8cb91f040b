//! AT mode on sqlx: undo logs, row locks and phase two.
