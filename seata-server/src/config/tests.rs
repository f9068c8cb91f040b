//! What the sources come to.
