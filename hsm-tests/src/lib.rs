//! End-to-end tests of Chancery.
