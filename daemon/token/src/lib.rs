//! PKCS#11 sessions.
#![forbid(unsafe_code)]
