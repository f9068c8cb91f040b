//! Transaction manager and resource manager of Seata over TCP: an application's way to a coordinator that
//! runs as a server of its own, the Java one included.

#![forbid(unsafe_code)]
